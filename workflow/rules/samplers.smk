# What draws a part of an input given the rest, fitted on every fold and measured on the held-out samples.


rule fit_sampler:
    input:
        "results/{study}/samples.zarr/zarr.json",
    output:
        weights="results/{study}/samplers/{sampler}/sampler.safetensors",
        sampler="results/{study}/samplers/{sampler}/sampler.json",
        quality="results/{study}/samplers/{sampler}/quality.tsv",
        figure=report(
            "results/{study}/samplers/{sampler}/sampler.png",
            caption="../report/samplers.rst",
            category="{study}",
            subcategory="samplers",
            labels={"sampler": "{sampler}"},
        ),
    log:
        "results/{study}/logs/fit_sampler/{sampler}.log",
    benchmark:
        "results/{study}/benchmarks/fit_sampler/{sampler}.tsv"
    conda:
        "../../envs/igc.yaml"
    threads: 1
    resources:
        mem=growing(6, "GB"),
        runtime=growing(120, "m"),
        disk="2MB",
        gpu=gpu(gpus_to_sample),
        gpu_model=gpu_model(gpus_to_sample),
        gres=gres(gpus_to_sample),
    params:
        code=code_digest("samplers"),
        settings=sampler_settings,
        seed=config["seed"],
        scratch="resources/partials/{study}/samplers/{sampler}",
    message:
        "Fitting the sampler {wildcards.sampler} on {wildcards.study}"
    shell:
        "exec python -m igc fit-sampler --settings {params.settings:q}"
        " --samples {input} --seed {params.seed}"
        " --scratch {params.scratch} --output {output.sampler} > {log} 2>&1"
