# The figures of a study; `snakemake --report` gathers them with the tables into one page.


rule report:
    input:
        samples="results/{study}/samples.zarr/zarr.json",
        rois="results/{study}/rois.zarr/zarr.json",
        attributions=attributions,
        models=model_files,
        comparison="results/{study}/comparison",
    output:
        maps_igc=report(
            "results/{study}/figures/maps_igc.png",
            caption="../report/maps_igc.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "maps IGC"},
        ),
        maps_methods=report(
            "results/{study}/figures/maps_methods.png",
            caption="../report/maps_methods.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "maps methods"},
        ),
        maps_surface=report(
            "results/{study}/figures/maps_surface.png",
            caption="../report/maps_surface.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "maps on the surface"},
        ),
        rois=report(
            "results/{study}/figures/rois.png",
            caption="../report/rois.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "rois"},
        ),
        scores=report(
            "results/{study}/figures/scores.png",
            caption="../report/scores.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "scores"},
        ),
        learning_curves=report(
            "results/{study}/figures/learning_curves.png",
            caption="../report/learning_curves.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "learning curves"},
        ),
        agreement=report(
            "results/{study}/figures/agreement.png",
            caption="../report/agreement.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "agreement"},
        ),
        diagnostics=report(
            "results/{study}/figures/diagnostics.png",
            caption="../report/diagnostics.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "diagnostics"},
        ),
        yardsticks=report(
            "results/{study}/figures/yardsticks.png",
            caption="../report/yardsticks.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "yardsticks"},
        ),
        yardstick_curves=report(
            "results/{study}/figures/yardstick_curves.png",
            caption="../report/yardstick_curves.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "yardstick curves"},
        ),
        linear_partition=report(
            "results/{study}/figures/linear_partition.png",
            caption="../report/linear_partition.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "network and linear model"},
        ),
        deep_linear=report(
            "results/{study}/figures/deep_linear.png",
            caption="../report/deep_linear.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "network minus linear model"},
        ),
        examples=report(
            "results/{study}/figures/examples.png",
            caption="../report/examples.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "single samples"},
        ),
        taylor=report(
            "results/{study}/figures/taylor.png",
            caption="../report/taylor.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "Taylor decomposition"},
        ),
        verdict=report(
            "results/{study}/figures/verdict.png",
            caption="../report/verdict.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "which method to trust"},
        ),
    log:
        "results/{study}/logs/report.log",
    benchmark:
        "results/{study}/benchmarks/report.tsv"
    conda:
        "../../envs/igc.yaml"
    resources:
        mem=growing(4, "GB"),
        runtime=growing(60, "m"),
        disk="3MB",
    params:
        code=code_digest("report"),
        models=repeated("--model", "models"),
    message:
        "Drawing the figures of {wildcards.study}"
    shell:
        "exec python -m igc report {input.attributions} --samples {input.samples}"
        " --rois {input.rois} {params.models} --comparison {input.comparison}"
        " --output results/{wildcards.study} > {log} 2>&1"
