# The ROI tables of several subjects as one.


rule group:
    input:
        group_tables,
    output:
        tables=directory("results/groups/{group}/rois"),
        figures=report(
            directory("results/groups/{group}/figures"),
            patterns=["{model}/{method}.png"],
            caption="../report/group.rst",
            category="groups",
            subcategory="{group}",
            labels={"model": "{model}", "method": "{method}"},
        ),
    log:
        "results/logs/group/{group}.log",
    benchmark:
        "results/benchmarks/group/{group}.tsv"
    conda:
        "../../envs/igc.yaml"
    resources:
        mem=growing(2, "GB"),
        runtime=growing(30, "m"),
        disk="2MB",
    params:
        code=code_digest("group"),
        title=group_title,
        missing=group_missing,
    message:
        "Putting the subjects of {wildcards.group} together"
    shell:
        "exec python -m igc group {input} --title={params.title:q} {params.missing}"
        " --output results/groups/{wildcards.group} > {log} 2>&1"
