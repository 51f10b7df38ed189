# make         install the locked environment and run the embedded experiment on all cores: the main findings
# make all     the same with every table and figure of the papers, and the comparison with them
# make report  all of it in one page to read, report.zip
# make status  what runs, and how long that will take, from any terminal
# make provenance OF=results/digits/figures/robustness.png    what made it, back to the data
# make test    the tests of every module, and the workflow on a tiny experiment: minutes
# make test-slow    the embedded experiment, real architectures, SLURM, killed jobs
# make coverage     which lines of purity/ the first tests run
# make check   format, lint and types, as CI does
# make clean   remove results

# uv from the PATH, or one of our own in .uv/
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
PYTHON ?= python3
CORES ?= all
RUN := $(UV) run --frozen --no-sync
# Snakemake looks for work once per timespan and finished job: with the default of 1 s a long run pays for it by minutes
FLAGS := --cores $(CORES) --quiet rules reason --max-jobs-per-timespan 300/3s $(ARGS)

.PHONY: results all report status provenance install test test-slow coverage check clean

results: install
	@$(RUN) snakemake foundation $(FLAGS)
	@echo "The figures are in results/*/figures/, open results/digits/figures/robustness.png first; make all adds the others."

all: install
	@$(RUN) snakemake all $(FLAGS)
	@echo "The figures are in results/*/figures/, open results/digits/comparison.html first."

report: all
	@$(RUN) snakemake --report report.zip --quiet all
	@echo "Unpack report.zip and open report/report.html."

status: install
	@$(RUN) python -m purity.run.status

provenance: install
	@$(RUN) python -m purity.run.lineage $(OF)

install: .venv/installed

# --compile-bytecode is set in pyproject.toml: without it every job would start several times slower
.venv/installed: pyproject.toml uv.lock | $(filter .uv/%,$(UV))
	$(UV) sync --frozen
	@touch $@

.uv/bin/uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Purity needs Python 3.11 or newer")'
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .uv uv

# Workers share the cores; torch has one thread in each (tests/conftest.py). A worker that is done takes over from others.
PARALLEL := -n auto --dist worksteal
test: install
	$(RUN) pytest $(PARALLEL) --durations=20 tests/workflow tests/unit $(ARGS)

# A file of tests each, the longest first: many of them wait, for SLURM or for a process to kill.
LONGEST := $(patsubst %,tests/slow/test_%.py,findings real_cifar10 slurm judging real_imagenet)
SLOW := $(LONGEST) $(filter-out $(LONGEST),$(sort $(wildcard tests/slow/test_*.py)))
test-slow: install
	$(RUN) pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=20 $(SLOW) $(ARGS)

# Jobs that Snakemake starts are not counted.
coverage: install
	$(RUN) pytest $(PARALLEL) --cov=purity --cov-report=term-missing:skip-covered tests/workflow tests/unit $(ARGS)

check: install
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) snakefmt --check Snakefile workflow
	$(RUN) snakemake --lint

clean:
	rm -rf results
