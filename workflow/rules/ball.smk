# Directions, centroids and variance (§3.2): points of the ball around clean images, purified under the same draws of ξ.


rule sample_ball:
    """Points of the ball around clean images, each purified under the same draws of ξ."""
    input:
        subset=lambda w: experiment(w).data(images=experiment(w).part("ball")["images"]),
        diffusion=diffusion_weights,
    output:
        store("ball"),
    log:
        log("ball"),
    benchmark:
        timing("ball")
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("sample_ball"),
    script:
        "../scripts/stage.py"


rule measure_ball:
    """Directions, distances to centroids, and the decomposition of variance."""
    input:
        subset=lambda w: experiment(w).data(images=experiment(w).part("ball")["images"]),
        ball=store("ball"),
    output:
        store("ball-measures"),
    log:
        log("ball-measures"),
    conda:
        CONDA_TABLES
    resources:
        **TABLES,
    params:
        **staged("measure_ball", script="measure"),
    script:
        "../scripts/measure.py"


study(
    "ball",
    section="2 Behaviour of diffusion models (§3)",
    reads={"balls": "ball-measures"},
    tables=["directions", "directions-matrix", "centroids", "centroids-histogram", "variance"],
    figures={
        "directions": ["directions", "directions-matrix"],
        "centroids": ["centroids-histogram"],
        "variance": ["variance"],
    },
    evidence=True,
)
