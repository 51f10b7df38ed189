"""How a run works: config, experiment, jobs, stores, checkpoints. It knows no science."""
