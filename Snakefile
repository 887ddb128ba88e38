# Plain `snakemake` at the root runs the workflow; `include` alone would leave the default target unset.
include: "workflow/Snakefile"


rule default:
    default_target: True
    input:
        rules.all.input,
