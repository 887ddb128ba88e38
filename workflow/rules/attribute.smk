# One map a model and method, streamed over the samples; interrupted jobs go on from their partial states, and what the
# jobs of its shares have computed is not computed again.


rule attribute:
    input:
        samples="results/{study}/samples.zarr/zarr.json",
        rois="results/{study}/rois.zarr/zarr.json",
        weights="results/{study}/models/{model}-seed{seed}/model.safetensors",
        model="results/{study}/models/{model}-seed{seed}/model.json",
        sampler=sampler_files,
        maps=given_maps,
        shares=finished_shares,
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
        disk=disk("attribute"),
        gpu=gpu(one_gpu),
        gpu_model=gpu_model(one_gpu),
        gres=gres(one_gpu),
    params:
        code=code_digest("attribute"),
        settings=method_settings,
        seed=config["seed"],
        checkpoint="resources/partials/{study}/attributions/{model}-seed{seed}/{method}",
    message:
        "Attributing {wildcards.model} (seed {wildcards.seed}) on {wildcards.study} by {wildcards.method}"
    shell:
        "exec python -m igc attribute --settings {params.settings:q}"
        " --samples {input.samples} --model {input.model} --rois {input.rois}"
        " --seed {params.seed} --checkpoint {params.checkpoint}"
        " --workers {threads} --output {output} > {log} 2>&1"


# Every n-th unit of the work of a map, as partial states in the folder where the map looks for them.
rule attribute_share:
    input:
        samples="results/{study}/samples.zarr/zarr.json",
        rois="results/{study}/rois.zarr/zarr.json",
        weights="results/{study}/models/{model}-seed{seed}/model.safetensors",
        model="results/{study}/models/{model}-seed{seed}/model.json",
        sampler=sampler_files,
    output:
        temp(
            touch(
                "resources/partials/{study}/attributions/{model}-seed{seed}/{method}.share{share}of{shards}"
            )
        ),
    log:
        "results/{study}/logs/attribute/{model}-seed{seed}/{method}.share{share}of{shards}.log",
    benchmark:
        "results/{study}/benchmarks/attribute_share/{model}-seed{seed}/{method}.{share}of{shards}.tsv"
    conda:
        "../../envs/igc.yaml"
    threads: 1
    resources:
        mem=growing(4, "GB"),
        runtime=growing(120, "m"),
        disk=disk("share"),
        gpu=gpu(one_gpu),
        gpu_model=gpu_model(one_gpu),
        gres=gres(one_gpu),
    params:
        code=code_digest("attribute"),
        settings=method_settings,
        seed=config["seed"],
        checkpoint="resources/partials/{study}/attributions/{model}-seed{seed}/{method}",
        map="results/{study}/attributions/{model}-seed{seed}/{method}.zarr/zarr.json",
    message:
        "Attributing {wildcards.model} (seed {wildcards.seed}) on {wildcards.study} by {wildcards.method}, share {wildcards.share} of {wildcards.shards}"
    shell:
        "exec python -m igc attribute --settings {params.settings:q}"
        " --samples {input.samples} --model {input.model} --rois {input.rois}"
        " --seed {params.seed} --checkpoint {params.checkpoint}"
        " --share {wildcards.share}/{wildcards.shards}"
        " --workers {threads} --output {params.map} > {log} 2>&1"
