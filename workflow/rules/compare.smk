# All maps of a study side by side.


rule compare:
    input:
        samples="results/{study}/samples.zarr/zarr.json",
        attributions=attributions,
        scores=score_tables,
        yardsticks="results/{study}/yardsticks",
    output:
        report(
            directory("results/{study}/comparison"),
            patterns=["{table}.tsv"],
            caption="../report/comparison.rst",
            category="{study}",
            subcategory="comparison",
            labels={"table": "{table}"},
        ),
    log:
        "results/{study}/logs/compare.log",
    benchmark:
        "results/{study}/benchmarks/compare.tsv"
    conda:
        "../../envs/igc.yaml"
    resources:
        mem=growing(2, "GB"),
        runtime=growing(30, "m"),
        disk="1MB",
    params:
        code=code_digest("compare"),
        scores=repeated("--scores", "scores"),
    message:
        "Comparing all maps of {wildcards.study}"
    shell:
        "exec python -m igc compare {input.attributions} --samples {input.samples}"
        " {params.scores} --yardsticks {input.yardsticks}"
        " --benchmarks results/{wildcards.study}/benchmarks --output {output} > {log} 2>&1"
