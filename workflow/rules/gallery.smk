# What it looks like: clean, perturbed and purified images, and one on its way.


rule states:
    """Every state of a few attacked images on their way through one purifier, and what it is taken for."""
    input:
        subset=lambda w: experiment(w).data(images=experiment(w).said["gallery"]["images"]),
        adversarial=lambda w: experiment(w).adversarial(
            [Cell(w.purifier, w.attack, w.knowledge)], images=experiment(w).said["gallery"]["images"]
        ),
        classifier=classifier_weights,
        diffusion=diffusion_weights,
    output:
        store("states"),
    log:
        log("states"),
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
    params:
        **staged("states"),
    script:
        "../scripts/stage.py"


localrules:
    gallery,


rule gallery:
    """Clean, perturbed and purified images, and one on its way."""
    input:
        unpack(lambda w: experiment(w).gallery_stores()),
    output:
        png=report(
            "results/{experiment}/figures/gallery.png",
            caption="../report/gallery.rst",
            category="2 Behaviour of diffusion models (§3)",
            labels={"experiment": "{experiment}", "shows": "gallery"},
        ),
        pdf="results/{experiment}/figures/gallery.pdf",
    log:
        "results/{experiment}/logs/figures/gallery.log",
    conda:
        CONDA_TABLES
    resources:
        **TABLES,
    params:
        spec=lambda w: experiment(w).gallery(),
        code=lambda w: code("gallery"),
    script:
        "../scripts/gallery.py"
