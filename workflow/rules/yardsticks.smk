# What models do when parts of their input are taken away, for all maps of a study in one job: its start costs more than
# the maps of a small model.


rule yardsticks:
    input:
        samples="results/{study}/samples.zarr/zarr.json",
        rois="results/{study}/rois.zarr/zarr.json",
        attributions=judged_attributions,
        models=judged_models,
    output:
        directory("results/{study}/yardsticks"),
    log:
        "results/{study}/logs/yardsticks.log",
    benchmark:
        "results/{study}/benchmarks/yardsticks.tsv"
    conda:
        "../../envs/igc.yaml"
    threads: 1
    resources:
        mem=growing(4, "GB"),
        runtime=growing(120, "m"),
        disk="2MB",
        gpu=gpu(one_gpu),
        gpu_model=gpu_model(one_gpu),
        gres=gres(one_gpu),
    params:
        code=code_digest("yardsticks"),
        settings=yardstick_settings,
        models=repeated("--model", "models"),
        seed=config["seed"],
    message:
        "Judging the maps of {wildcards.study}"
    shell:
        "exec python -m igc yardsticks {input.attributions} --settings {params.settings:q}"
        " --samples {input.samples} {params.models} --rois {input.rois}"
        " --seed {params.seed} --output {output} > {log} 2>&1"
