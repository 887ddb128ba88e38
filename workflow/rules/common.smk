# What the rules share: the checked configuration, paths derived from it, and digests of the package's sources.
# The standard library only, because the process that plans the jobs may not have the package's dependencies.
import hashlib
import json
import os
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

ROOT = Path(str(workflow.current_basedir)).parents[1]
SCHEMA = "../schemas/config.schema.json"


def put_first(variable, folder):
    """Put a folder before those a search path holds already."""
    known = os.environ.get(variable)
    os.environ[variable] = f"{folder}{os.pathsep}{known}" if known else str(folder)


# Jobs inherit these: they run the package of this checkout, installed or not, with the interpreter that runs
# Snakemake. An activated conda environment still comes before that on the path.
put_first("PYTHONPATH", ROOT)
put_first("PATH", Path(sys.executable).parent)


def checked(config):
    """Fill in the defaults of the configuration, or name the key at fault in one line."""
    try:
        # the pass that fills in defaults trips over values of a wrong type, so these are found before
        validate(config, SCHEMA, set_default=False)
        validate(config, SCHEMA)
    except WorkflowError as error:
        cause = error.__cause__ or error.__context__
        if not hasattr(cause, "absolute_path"):
            raise
        place = ".".join(map(str, cause.absolute_path)) or "the whole file"
        complaints = [part.message for part in cause.context] or [cause.message]
        raise WorkflowError(
            f"configuration, {place}: {', or '.join(complaints)}; config/README.md describes every key"
        ) from None
    for name, study in config["studies"].items():
        for method, block in study["methods"].items():
            unknown = set(block["models"] or []) - set(study["models"])
            if unknown:
                raise WorkflowError(
                    f"configuration, studies.{name}.methods.{method}.models: {sorted(unknown)} "
                    f"is not among the models {sorted(study['models'])}"
                )
        for model, block in study["models"].items():
            if block.get("bands") and block["bands"] not in study["rois"]:
                raise WorkflowError(
                    f"configuration, studies.{name}.models.{model}.bands: {block['bands']} "
                    f"is not among the ROI sets {sorted(study['rois'])}"
                )
        unknown = set(study["yardsticks"]["models"] or []) - set(study["models"])
        if unknown:
            raise WorkflowError(
                f"configuration, studies.{name}.yardsticks.models: {sorted(unknown)} "
                f"is not among the models {sorted(study['models'])}"
            )
        for key, known in (("models", study["models"]), ("methods", study["methods"])):
            unknown = set(study["fields"][key] or []) - set(known)
            if unknown:
                raise WorkflowError(
                    f"configuration, studies.{name}.fields.{key}: {sorted(unknown)} "
                    f"is not among the {key} {sorted(known)}"
                )
    for name, group in config["groups"].items():
        unknown = set(group["studies"]) - set(config["studies"])
        if unknown:
            raise WorkflowError(
                f"configuration, groups.{name}.studies: {sorted(unknown)} "
                f"is not among the studies {sorted(config['studies'])}"
            )
    made = {}
    for name, study in config["studies"].items():
        data = study["data"]
        if data.get("source") != "simulated":
            continue
        if made.setdefault(data["folder"], data["recipe"]) != data["recipe"]:
            raise WorkflowError(
                f"configuration, studies.{name}.data.recipe: another study makes other files "
                f"in {data['folder']}; give the studies one recipe, or folders of their own"
            )
    return config["studies"]


STUDIES = checked(config)

GROUPS = config["groups"]
# studies whose maps give receptive fields
MAPPED = [name for name, study in STUDIES.items() if study["fields"]["models"]]

METHODS = sorted({name for study in STUDIES.values() for name in study["methods"]})
MODELS = sorted({name for study in STUDIES.values() for name in study["models"]})
SAMPLERS = sorted({name for study in STUDIES.values() for name in study["samplers"]})
# datasets that are made for studies, by their folder
RECIPES = {
    study["data"]["folder"].rstrip(os.sep): study["data"]["recipe"]
    for study in STUDIES.values()
    if study["data"].get("source") == "simulated"
}
# studies whose inputs or responses have a place in a brain
LOCATED = [
    name
    for name, study in STUDIES.items()
    if study["data"]["kind"] in ("haxby", "nifti", "nsd")
]


wildcard_constraints:
    study="|".join(STUDIES),
    model="|".join(MODELS),
    method="|".join(METHODS),
    sampler="|".join(SAMPLERS) or "none",
    made="|".join(map(re.escape, RECIPES)) or "none",
    seed="[0-9]+",
    group="|".join(GROUPS) or "none",
    share="[0-9]+",
    shards="[0-9]+",


# --- sources -----------------------------------------------------------------

# What each step may import, as the layers of the package allow; a test compares this with the real imports.
VERBS = "fetch make_nsd preprocess rois train samplers attribute merge aggregate yardsticks compare summarize report explore fields group bids methods shards status"
# modules of the steps that are no step themselves: parts of the attribution
PARTS = [
    f"steps/{file.name}"
    for file in sorted((ROOT / "igc" / "steps").glob("*.py"))
    if file.stem not in {*VERBS.split(), "shown"}
]
SETTINGS = [
    "block.py",
    "config.py",
    "config_nsd.py",
    "config_results.py",
    "config_yardsticks.py",
]
GROUND = [*SETTINGS, "errors.py", "parsing.py", "seeding.py", "stats", "store"]
SOURCES = {
    "fetch": [*GROUND, "data"],
    "make_nsd": [*GROUND, "data"],
    "preprocess": [*GROUND, "data"],
    "rois": [*GROUND, "roi"],
    "train": [*GROUND, "data", "models", "roi/sets.py", "steps/progress.py"],
    "samplers": [
        *GROUND,
        "data",
        "models",
        "attribution",
        "report",
        "steps/progress.py",
    ],
    "attribute": [*GROUND, "streaming", "models", "attribution", "roi/sets.py", *PARTS],
    "aggregate": [*GROUND, "roi"],
    "yardsticks": [
        *GROUND,
        "streaming",
        "data",
        "models",
        "attribution",
        "roi/sets.py",
        "comparison",
        *PARTS,
    ],
    "compare": [*GROUND, "data", "comparison"],
    "summarize": [*GROUND, "data", "models", "comparison", "report"],
    # names of the yardsticks and the weights of Taylor terms
    "report": [
        *GROUND,
        "attribution",
        "roi",
        "comparison",
        "report",
        "steps/shown.py",
    ],
    "fields": [*GROUND, "roi", "report", "steps/shown.py"],
    "group": [*GROUND, "roi", "report"],
    "explore": [*GROUND, "roi", "comparison", "report", "steps/shown.py"],
    "bids": [*GROUND, "roi", "report", "steps/shown.py"],
}


def code_digest(step):
    """Return a digest of the sources that a step depends on, so that an edit reruns what is above it."""
    package = ROOT / "igc"
    digest = hashlib.sha256()
    for name in [*SOURCES[step], f"steps/{step}.py"]:
        path = package / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.suffix != ".pyc":
                digest.update(str(file.relative_to(package)).encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


# --- settings ----------------------------------------------------------------


def as_text(block, *left_out):
    """Return a block of the configuration as JSON, without keys that do not concern the job."""
    return json.dumps(
        {key: block[key] for key in block if key not in left_out}, sort_keys=True
    )


def data_settings(wildcards):
    return as_text(STUDIES[wildcards.study]["data"])


def split_settings(wildcards):
    return as_text(STUDIES[wildcards.study]["split"])


def study_title(wildcards):
    return STUDIES[wildcards.study]["title"]


def roi_settings(wildcards):
    return as_text(STUDIES[wildcards.study]["rois"])


def model_settings(wildcards):
    return as_text(STUDIES[wildcards.study]["models"][wildcards.model], "seeds")


def sampler_settings(wildcards):
    return as_text(STUDIES[wildcards.study]["samplers"][wildcards.sampler])


def method_settings(wildcards):
    study = STUDIES[wildcards.study]
    block = dict(study["methods"][wildcards.method])
    block["method"] = block["method"] or wildcards.method
    if block["examples"] is None:
        block["examples"] = study["yardsticks"]["samples"]
    return as_text(block, "models", "shards")


def field_settings(wildcards):
    return as_text(STUDIES[wildcards.study]["fields"], "models", "methods")


def group_title(wildcards):
    return GROUPS[wildcards.group]["title"]


def group_missing(wildcards):
    return "--missing-regions" if GROUPS[wildcards.group]["missing_regions"] else ""


def yardstick_settings(wildcards):
    return as_text(STUDIES[wildcards.study]["yardsticks"], "models")


# --- files -------------------------------------------------------------------


def raw_files(wildcards):
    """Return the user's own files that a study reads, and the mark of a finished download."""
    data = STUDIES[wildcards.study]["data"]
    if data.get("source") == "download":
        return [f"resources/fetched/{wildcards.study}"]
    if data.get("source") == "simulated":
        return [f"{data['folder'].rstrip('/')}/made"]
    if data["kind"] == "nsd":
        folder = f"nsddata_betas/ppdata/subj{data['subject']:02d}/{data['space']}"
        found = Path(data["folder"]).glob(f"{folder}/*/*betas_session*")
        return sorted(str(file) for file in found)
    files = [data.get(key) for key in ("mask", "targets", "inputs", "responses")]
    files += [data.get(key) for key in ("groups", "test")]
    files += [*(data.get("images") or []), *(data.get("events") or [])]
    files += [*(data.get("confounds") or [])]
    for atlas in (data.get("atlases") or {}).values():
        files += [atlas["labels"], atlas.get("table")]
    return [file for file in files if file and data["kind"] in ("nifti", "arrays")]


def recipe_options(wildcards):
    """Return the options that make a dataset."""
    recipe = RECIPES[wildcards.made]
    single = ("image_size", "shared", "vertices")
    options = [f"--{key.replace('_', '-')} {recipe[key]}" for key in single]
    for option, key in (
        ("sessions",) * 2,
        ("space", "spaces"),
        ("version", "versions"),
    ):
        options += [f"--{option} {value}" for value in recipe[key]]
    return " ".join(options)


def mask_files(wildcards):
    """Return the mask images that the ROI sets of a study read."""
    sets = STUDIES[wildcards.study]["rois"].values()
    return [file for block in sets for file in block.get("masks", {}).values()]


def bands_file(wildcards):
    """Return the ROI sets, where a model regularises their regions apart."""
    bands = STUDIES[wildcards.study]["models"][wildcards.model].get("bands")
    return [f"results/{wildcards.study}/rois.zarr/zarr.json"] if bands else []


def start_weights(wildcards):
    """Return the file of weights that a network starts from."""
    file = STUDIES[wildcards.study]["models"][wildcards.model].get("weights")
    return [file] if file else []


def runs(study):
    """Return the (model, seed) pairs of a study."""
    models = STUDIES[study]["models"]
    return [(model, seed) for model in models for seed in models[model]["seeds"]]


def sampler_files(wildcards):
    """Return the sampler that a method draws from, where it is one of the study."""
    study = STUDIES[wildcards.study]
    name = study["methods"][wildcards.method]["options"].get("sampler")
    known = name in study["samplers"]
    return [f"results/{wildcards.study}/samplers/{name}/sampler.json"] if known else []


def given_maps(wildcards):
    """Return the file of maps made elsewhere, for the method that reads one."""
    file = STUDIES[wildcards.study]["methods"][wildcards.method]["file"]
    return [file] if file else []


def applies(study, method, model):
    models = STUDIES[study]["methods"][method]["models"]
    return models is None or model in models


def attributions(wildcards):
    """Return the attribution stores of a study."""
    return [
        f"results/{wildcards.study}/attributions/{model}-seed{seed}/{method}.zarr/zarr.json"
        for model, seed in runs(wildcards.study)
        for method in STUDIES[wildcards.study]["methods"]
        if applies(wildcards.study, method, model)
    ]


def all_attributions(wildcards):
    """Return the attribution stores of all studies."""
    return [
        f"results/{study}/attributions/{model}-seed{seed}/{method}.zarr/zarr.json"
        for study in STUDIES
        for model, seed in runs(study)
        for method in STUDIES[study]["methods"]
        if applies(study, method, model)
    ]


def field_attributions(wildcards):
    """Return the attribution stores of a study that give receptive fields."""
    study = wildcards.study
    block = STUDIES[study]["fields"]
    methods = (
        STUDIES[study]["methods"] if block["methods"] is None else block["methods"]
    )
    return [
        f"results/{study}/attributions/{model}-seed{seed}/{method}.zarr/zarr.json"
        for model, seed in runs(study)
        for method in methods
        if model in block["models"] and applies(study, method, model)
    ]


def field_folder(wildcards):
    """Return the folder of receptive fields of a study, where there is one."""
    study = wildcards.study
    return [f"results/{study}/fields"] if study in MAPPED else []


def group_tables(wildcards):
    """Return the folders of ROI tables of the studies of a group."""
    return [f"results/{study}/rois" for study in GROUPS[wildcards.group]["studies"]]


def judged(study, model):
    models = STUDIES[study]["yardsticks"]["models"]
    return models is None or model in models


def judged_attributions(wildcards):
    """Return the attribution stores whose maps the yardsticks of a study judge."""
    return [
        f"results/{wildcards.study}/attributions/{model}-seed{seed}/{method}.zarr/zarr.json"
        for model, seed in runs(wildcards.study)
        for method in STUDIES[wildcards.study]["methods"]
        if applies(wildcards.study, method, model) and judged(wildcards.study, model)
    ]


def judged_models(wildcards):
    """Return the models with maps that the yardsticks of a study judge."""
    study = wildcards.study
    return [
        f"results/{study}/models/{model}-seed{seed}/model.json"
        for model, seed in runs(study)
        if judged(study, model)
        and any(applies(study, method, model) for method in STUDIES[study]["methods"])
    ]


def score_tables(wildcards):
    return [
        f"results/{wildcards.study}/models/{model}-seed{seed}/scores.tsv"
        for model, seed in runs(wildcards.study)
    ]


def model_files(wildcards):
    return [
        f"results/{wildcards.study}/models/{model}-seed{seed}/model.json"
        for model, seed in runs(wildcards.study)
    ]


def repeated(option, name):
    """Return a function that gives the option once for each file of a named input."""

    def options(wildcards, input):
        return " ".join(f"{option} '{file}'" for file in input[name])

    return options


# --- shards ------------------------------------------------------------------


def shards(study, method):
    """Return into how many jobs the maps of a method are split; maps made elsewhere are only read."""
    block = STUDIES[study]["methods"][method]
    return 1 if (block["method"] or method) == "given" else block["shards"]


def finished_shares(wildcards):
    """Return the marks of the shares that must be computed before a map is made."""
    number = shards(wildcards.study, wildcards.method)
    folder = f"resources/partials/{wildcards.study}/attributions/{wildcards.model}-seed{wildcards.seed}"
    return [
        f"{folder}/{wildcards.method}.share{share}of{number}"
        for share in range(1, number + 1)
        if number > 1
    ]
