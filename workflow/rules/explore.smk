# The page on which readers choose study, model, target and methods: one for all studies.


rule explore:
    input:
        samples=expand("results/{study}/samples.zarr/zarr.json", study=STUDIES),
        rois=expand("results/{study}/rois.zarr/zarr.json", study=STUDIES),
        attributions=all_attributions,
        # the step also links to the pages that the report makes
        figures=expand(rules.report.output.maps_igc, study=STUDIES),
        comparison=expand("results/{study}/comparison", study=STUDIES),
    output:
        report(
            "results/explorer.html",
            caption="../report/explorer.rst",
            category="explorer",
            labels={"page": "maps side by side"},
        ),
    log:
        "results/logs/explore.log",
    benchmark:
        "results/benchmarks/explore.tsv"
    conda:
        "../../envs/igc.yaml"
    resources:
        mem=growing(2, "GB"),
        runtime=growing(30, "m"),
        disk="5MB",
    params:
        code=code_digest("explore"),
    message:
        "Putting the maps of all studies on one page"
    shell:
        "exec python -m igc explore {input.attributions} --output {output} > {log} 2>&1"
