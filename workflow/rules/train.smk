# One model, fitted on every fold and scored on the held-out samples.


rule train:
    input:
        samples="results/{study}/samples.zarr/zarr.json",
        rois=bands_file,
        start=start_weights,
    output:
        weights="results/{study}/models/{model}-seed{seed}/model.safetensors",
        model="results/{study}/models/{model}-seed{seed}/model.json",
        scores=report(
            "results/{study}/models/{model}-seed{seed}/scores.tsv",
            caption="../report/scores.rst",
            category="{study}",
            subcategory="scores",
            labels={"model": "{model}", "seed": "{seed}"},
        ),
    log:
        "results/{study}/logs/train/{model}-seed{seed}.log",
    benchmark:
        "results/{study}/benchmarks/train/{model}-seed{seed}.tsv"
    conda:
        "../../envs/igc.yaml"
    threads: 1
    resources:
        mem=growing(6, "GB"),
        runtime=growing(120, "m"),
        disk=disk("train"),
        gpu=gpu(gpus_to_train),
        gpu_model=gpu_model(gpus_to_train),
        gres=gres(gpus_to_train),
    params:
        code=code_digest("train"),
        settings=model_settings,
        rois=repeated("--rois", "rois"),
        scratch="resources/partials/{study}/models/{model}-seed{seed}",
    message:
        "Training {wildcards.model} (seed {wildcards.seed}) on {wildcards.study}"
    shell:
        "exec python -m igc train --settings {params.settings:q}"
        " --samples {input.samples} {params.rois} --seed {wildcards.seed}"
        " --scratch {params.scratch} --output {output.model} > {log} 2>&1"
