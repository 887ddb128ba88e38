# Maps, regions and tables of studies that decode from voxels or vertices, or predict them, for tools that read the Brain Imaging Data Structure.


rule bids:
    input:
        samples="results/{study}/samples.zarr/zarr.json",
        rois="results/{study}/rois.zarr/zarr.json",
        attributions=attributions,
        tables="results/{study}/rois",
        fields=field_folder,
    output:
        directory("results/{study}/derivatives/igc"),
    log:
        "results/{study}/logs/bids.log",
    benchmark:
        "results/{study}/benchmarks/bids.tsv"
    conda:
        "../../envs/igc.yaml"
    resources:
        mem=growing(2, "GB"),
        runtime=growing(30, "m"),
        disk=disk("bids"),
    params:
        code=code_digest("bids"),
        fields=repeated("--fields", "fields"),
    message:
        "Exporting {wildcards.study} as BIDS derivatives"
    shell:
        "exec python -m igc bids {input.attributions} --samples {input.samples}"
        " --rois {input.rois} --tables {input.tables} {params.fields} --output {output} > {log} 2>&1"
