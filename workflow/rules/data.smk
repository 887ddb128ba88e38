# Raw data to samples, and the regions of interest.


rule fetch:
    output:
        touch("resources/fetched/{study}"),
    log:
        "results/{study}/logs/fetch.log",
    benchmark:
        "results/{study}/benchmarks/fetch.tsv"
    retries: 2
    conda:
        "../../envs/igc.yaml"
    resources:
        mem="1GB",
        runtime="6h",
        disk=disk("fetch"),
    params:
        settings=data_settings,
    message:
        "Downloading the data of {wildcards.study}"
    shell:
        "exec python -m igc fetch --settings {params.settings:q} > {log} 2>&1"


# Small files of known responses, in the formats of the Natural Scenes Dataset, for studies that ask for them.
rule make_nsd:
    output:
        touch("{made}/made"),
    log:
        "{made}.log",
    benchmark:
        "{made}.tsv"
    conda:
        "../../envs/igc.yaml"
    resources:
        mem=growing(2, "GB"),
        runtime=growing(30, "m"),
        disk=made_disk,
    params:
        code=code_digest("make_nsd"),
        recipe=recipe_options,
        seed=config["seed"],
    message:
        "Making files like those of the Natural Scenes Dataset in {wildcards.made}"
    shell:
        "exec python -m igc make-nsd --output {wildcards.made:q} --again {params.recipe}"
        " --seed {params.seed} > {log:q} 2>&1"


rule preprocess:
    input:
        raw_files,
    output:
        "results/{study}/samples.zarr/zarr.json",
    log:
        "results/{study}/logs/preprocess.log",
    benchmark:
        "results/{study}/benchmarks/preprocess.tsv"
    conda:
        "../../envs/igc.yaml"
    resources:
        mem=growing(4, "GB"),
        runtime=growing(60, "m"),
        disk=disk("preprocess"),
    params:
        code=code_digest("preprocess"),
        settings=data_settings,
        split=split_settings,
        title=study_title,
        seed=config["seed"],
    message:
        "Making the samples of {wildcards.study}"
    shell:
        "exec python -m igc preprocess --settings {params.settings:q}"
        " --split {params.split:q} --study {wildcards.study}"
        " --title={params.title:q} --seed {params.seed}"
        " --output {output} > {log} 2>&1"


rule rois:
    input:
        samples="results/{study}/samples.zarr/zarr.json",
        masks=mask_files,
    output:
        "results/{study}/rois.zarr/zarr.json",
    log:
        "results/{study}/logs/rois.log",
    benchmark:
        "results/{study}/benchmarks/rois.tsv"
    conda:
        "../../envs/igc.yaml"
    resources:
        mem=growing(4, "GB"),
        runtime=growing(30, "m"),
        disk="1MB",
    params:
        code=code_digest("rois"),
        settings=roi_settings,
        seed=config["seed"],
    message:
        "Defining the ROI sets of {wildcards.study}"
    shell:
        "exec python -m igc rois --settings {params.settings:q}"
        " --samples {input.samples} --seed {params.seed}"
        " --output {output} > {log} 2>&1"
