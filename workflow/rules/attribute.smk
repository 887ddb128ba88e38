# One map a model and method, streamed over the samples; interrupted jobs go on from their partial states.


rule attribute:
    input:
        samples="results/{study}/samples.zarr/zarr.json",
        rois="results/{study}/rois.zarr/zarr.json",
        weights="results/{study}/models/{model}-seed{seed}/model.safetensors",
        model="results/{study}/models/{model}-seed{seed}/model.json",
        sampler=sampler_files,
        maps=given_maps,
    output:
        "results/{study}/attributions/{model}-seed{seed}/{method}.zarr/zarr.json",
    log:
        "results/{study}/logs/attribute/{model}-seed{seed}/{method}.log",
    benchmark:
        "results/{study}/benchmarks/attribute/{model}-seed{seed}/{method}.tsv"
    conda:
        "../../envs/igc.yaml"
    threads: 1
    resources:
        mem=growing(4, "GB"),
        runtime=growing(120, "m"),
        gpu=1,
    params:
        code=code_digest("attribute"),
        settings=method_settings,
        seed=config["seed"],
        checkpoint="resources/partials/{study}/attributions/{model}-seed{seed}/{method}",
    message:
        "Attributing {wildcards.model} (seed {wildcards.seed}) on {wildcards.study} by {wildcards.method}"
    shell:
        "python -m igc attribute --settings {params.settings:q}"
        " --samples {input.samples} --model {input.model} --rois {input.rois}"
        " --seed {params.seed} --checkpoint {params.checkpoint}"
        " --workers {threads} --output {output} > {log} 2>&1"
