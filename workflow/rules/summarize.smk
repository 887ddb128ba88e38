# Every metric of every method of all studies in one table, and the figure that ranks them.


rule summarize:
    input:
        comparison=expand("results/{study}/comparison", study=STUDIES),
    output:
        table="results/summary.tsv",
        parquet="results/summary.parquet",
        figure=report(
            "results/verdict.png",
            caption="../report/verdict.rst",
            category="all studies",
            labels={"figure": "which method to trust"},
        ),
    log:
        "results/logs/summarize.log",
    benchmark:
        "results/benchmarks/summarize.tsv"
    conda:
        "../../envs/igc.yaml"
    resources:
        mem=growing(2, "GB"),
        runtime=growing(30, "m"),
        disk="1MB",
    params:
        code=code_digest("summarize"),
    message:
        "Ranking the methods over all studies"
    shell:
        "exec python -m igc summarize {input.comparison} --output results > {log} 2>&1"
