# The figures of a study; `snakemake --report` gathers them with the tables into one page.


rule report:
    input:
        samples="results/{study}/samples.zarr/zarr.json",
        rois="results/{study}/rois.zarr/zarr.json",
        attributions=attributions,
        models=model_files,
        tables=["results/{study}/rois", "results/{study}/comparison"],
    output:
        report(
            directory("results/{study}/figures"),
            patterns=["{figure}.png"],
            caption="../report/figures.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "{figure}"},
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
    params:
        code=code_digest("report"),
        models=repeated("--model", "models"),
        tables=repeated("--table", "tables"),
    message:
        "Drawing the figures of {wildcards.study}"
    shell:
        "python -m igc report {input.attributions} --samples {input.samples}"
        " --rois {input.rois} {params.models} {params.tables}"
        " --output {output} > {log} 2>&1"
