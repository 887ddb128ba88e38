# ROI tables of all maps of a study in one job, because a job's start costs more than a table.


rule aggregate:
    input:
        attributions=attributions,
        samples="results/{study}/samples.zarr/zarr.json",
        rois="results/{study}/rois.zarr/zarr.json",
    output:
        report(
            directory("results/{study}/rois"),
            patterns=["{run}/{method}.tsv"],
            caption="../report/roi_tables.rst",
            category="{study}",
            subcategory="ROI tables",
            labels={"model": "{run}", "method": "{method}"},
        ),
    log:
        "results/{study}/logs/aggregate.log",
    benchmark:
        "results/{study}/benchmarks/aggregate.tsv"
    conda:
        "../../envs/igc.yaml"
    resources:
        mem=growing(2, "GB"),
        runtime=growing(30, "m"),
        disk="1MB",
    params:
        code=code_digest("aggregate"),
    message:
        "Writing the ROI tables of {wildcards.study}"
    shell:
        "exec python -m igc aggregate {input.attributions} --rois {input.rois}"
        " --samples {input.samples}"
        " --output {output} > {log} 2>&1"
