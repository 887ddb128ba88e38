# Receptive fields from the maps of encoders.


rule fields:
    input:
        samples="results/{study}/samples.zarr/zarr.json",
        attributions=field_attributions,
    output:
        report(
            directory("results/{study}/fields"),
            patterns=["{run}/{method}.png", "{run}/{method}.tsv"],
            caption="../report/fields.rst",
            category="{study}",
            subcategory="receptive fields",
            labels={"model": "{run}", "method": "{method}"},
        ),
    log:
        "results/{study}/logs/fields.log",
    benchmark:
        "results/{study}/benchmarks/fields.tsv"
    conda:
        "../../envs/igc.yaml"
    resources:
        mem=growing(4, "GB"),
        runtime=growing(60, "m"),
        disk=disk("fields"),
    params:
        code=code_digest("fields"),
        settings=field_settings,
    message:
        "Fitting receptive fields of {wildcards.study}"
    shell:
        "exec python -m igc fields {input.attributions} --settings {params.settings:q}"
        " --samples {input.samples} --output {output} > {log} 2>&1"
