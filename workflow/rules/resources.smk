# What jobs ask for, on a cluster and elsewhere, and what all jobs of a plan ask for together.
# The standard library only, as in common.smk.
import atexit
import struct
from math import ceil, prod

# --- memory and time ----------------------------------------------------------


def growing(amount, unit):
    """Return a resource that grows with every attempt, for clusters that kill a job beyond what it asked for."""

    def resource(wildcards, attempt):
        return f"{amount * attempt}{unit}"

    return resource


# the steps of a SLURM job, in which the rules' commands run, are not told how much memory the job has
if os.environ.get("SLURM_MEM_PER_NODE", "0") != "0":
    os.environ.update(IGC_JOB_MEMORY=os.environ.get("SLURM_MEM_PER_NODE"))


# --- GPUs ---------------------------------------------------------------------

# how this site asks for one: count, gres or none, and perhaps a model
GPU_KIND, _, GPU_MODEL = config["gpu_request"].partition(":")


def gpus_to_train(wildcards):
    """Return the number of GPUs a training uses: only networks gain from one."""
    return int(STUDIES[wildcards.study]["models"][wildcards.model]["kind"] == "network")


def gpus_to_sample(wildcards):
    """Return the number of GPUs that fitting a sampler uses: only networks gain from one."""
    return int(
        STUDIES[wildcards.study]["samplers"][wildcards.sampler]["kind"] == "patch"
    )


def one_gpu(wildcards):
    return 1


def gpu(wanted):
    """Return the resource of sites that count GPUs, and of runs on one machine."""

    def resource(wildcards):
        return wanted(wildcards) if GPU_KIND == "count" else 0

    return resource


def gpu_model(wanted):
    """Return the resource that names a model of GPU, for sites that count them."""

    def resource(wildcards):
        return GPU_MODEL if GPU_KIND == "count" and wanted(wildcards) else ""

    return resource


def gres(wanted):
    """Return the resource of sites where GPUs are generic resources."""

    def resource(wildcards):
        number = wanted(wildcards) if GPU_KIND == "gres" else 0
        return (
            ":".join(["gpu", *filter(None, [GPU_MODEL]), str(number)]) if number else ""
        )

    return resource


# --- bytes --------------------------------------------------------------------

SIMULATED_TARGETS = {"permuted": 4, "fmri": 64}
HAXBY_VOXELS = {"whole": 40000, "vt": 600, "face": 30, "house": 30}
MADE_VOXELS = 300
NSD_VOXELS = {"func1pt8mm": 15000, "func1mm": 80000, "nativesurface": 40000}
# a session of the voxels or vertices of a whole brain, as it is downloaded, and all images
NSD_SESSION = {"func1pt8mm": 1.1e9, "func1mm": 6e9}
NSD_IMAGES = 40e9
DOWNLOADS = {"mnist": 55e6, "haxby": 400e6}
MODEL_BYTES = 1 << 20
SMALL_FILES = 1 << 20


def shape_of_array(file):
    """Return the shape in the header of a .npy file."""
    with open(file, "rb") as opened:
        start = opened.read(12)
        long = start[6] > 1
        length = struct.unpack("<I" if long else "<H", start[8 : 12 if long else 10])[0]
        opened.seek(12 if long else 10)
        text = opened.read(length).decode("latin-1")
    return tuple(
        int(n) for n in re.findall(r"\d+", text.partition("(")[2].partition(")")[0])
    )


def shape_of_study(study):
    """Return about how many samples, components and targets a study has, or None where that lies in files to come."""
    data = STUDIES[study]["data"]
    kind = data["kind"]
    if kind == "mnist":
        train = data["train_samples"] or (
            10000 if data["source"] == "embedded" else 60000
        )
        return train + (data["test_samples"] or 10000), 28 * 28, 10
    if kind == "simulated":
        targets = SIMULATED_TARGETS.get(data["experiment"], 1)
        return data["train_samples"] + data["test_samples"], data["size"] ** 2, targets
    if kind == "haxby":
        voxels = 530 if data["source"] == "embedded" else HAXBY_VOXELS[data["mask"]]
        return 864, voxels, 8
    if kind == "nsd":
        made = data["source"] == "simulated"
        sessions = data["recipe"]["sessions"][data["subject"] - 1] if made else 40
        trials = 750 * min(data["sessions"] or sessions, sessions)
        voxels = MADE_VOXELS if made else NSD_VOXELS.get(data["space"], 160000)
        samples = trials // 3 if data["average"] == "image" else trials
        if data["predict"] == "responses":
            channels = 3 if data["channels"] == "rgb" else 1
            return samples, channels * data["image_size"] ** 2, voxels
        return samples, voxels, len(data["statistics"])
    files = [data.get("inputs"), data.get("responses")]
    if all(file and file.endswith(".npy") and Path(file).is_file() for file in files):
        inputs, responses = map(shape_of_array, files)
        return inputs[0], prod(inputs[1:]), prod(responses[1:])
    return None


def folds_of(study):
    folds = STUDIES[study]["split"]["folds"]
    return folds if isinstance(folds, int) else 1


def download_bytes(data):
    if data["kind"] == "nsd":
        session = NSD_SESSION.get(data["space"], 1.3e9)
        return session * (data["sessions"] or 40) + NSD_IMAGES
    return DOWNLOADS.get(data["kind"], 0)


def disk(step):
    """Return a resource: about how much a job of a rule writes, with what it removes at its end."""

    def resource(wildcards):
        if step == "fetch":
            return as_megabytes(download_bytes(STUDIES[wildcards.study]["data"]))
        shape = shape_of_study(wildcards.study)
        if shape is None:
            return as_megabytes(SMALL_FILES)
        samples, components, targets = shape
        if step == "preprocess":
            return as_megabytes(4 * samples * (components + targets) + SMALL_FILES)
        map_bytes = 8 * components * targets
        maps = len(attributions(wildcards))
        if step == "bids":
            return as_megabytes(maps * (2 * map_bytes + SMALL_FILES // 4) + SMALL_FILES)
        if step == "fields":
            number = len(field_attributions(wildcards))
            return as_megabytes(number * (250 * targets + SMALL_FILES // 2))
        if step == "train":
            settings = STUDIES[wildcards.study]["models"][wildcards.model]
            one = MODEL_BYTES if settings["kind"] == "network" else map_bytes
            return as_megabytes(one * folds_of(wildcards.study) + SMALL_FILES)
        if step == "share":
            # 64 states a fold, of about six arrays of the size of a map
            states = 64 * folds_of(wildcards.study) * 6 * map_bytes
            return as_megabytes(states / shards(wildcards.study, wildcards.method))
        return as_megabytes(4 * map_bytes + SMALL_FILES // 4)

    return resource


def made_disk(wildcards):
    """Return a resource: about how much the dataset has that is made for studies."""
    recipe = RECIPES[wildcards.made]
    sessions = sum(recipe["sessions"])
    images = 750 * sessions * 3 * recipe["image_size"] ** 2
    responses = sessions * len(recipe["spaces"]) * len(recipe["versions"]) * 3e6
    return as_megabytes(images + responses + SMALL_FILES)


def as_megabytes(number):
    return f"{ceil(number / 1e6)}MB"


# --- totals -------------------------------------------------------------------

# where the run is; at its end Snakemake has gone back to where it was started
FOLDER = Path.cwd()


def asked_by(job):
    """Return what a job may take at most, and what an earlier run of it took."""
    resources = job.resources
    hours = number_in(resources, "runtime") / 60
    gpus = number_in(resources, "gpu")
    named = str(resources.get("gres") or "")
    if not gpus and named.startswith("gpu"):
        gpus = int(named.rpartition(":")[2])
    return {
        "jobs": 1,
        "CPU hours": job.threads * hours,
        "GPU hours": gpus * hours,
        "GB": number_in(resources, "disk_mb") / 1000,
        "known": int(measured_hours(job) is not None),
        "took": job.threads * (measured_hours(job) or 0.0),
    }


def number_in(resources, name):
    value = resources.get(name)
    return value if isinstance(value, (int, float)) else 0


def measured_hours(job):
    """Return how long an earlier run of a job took, from its benchmark."""
    file = FOLDER / str(job.benchmark or "none")
    if not file.is_file():
        return None
    lines = file.read_text(encoding="utf-8").splitlines()
    return float(lines[1].split("\t")[0]) / 3600 if len(lines) > 1 else None


def tell_totals():
    """Print at the end of a dry run what the planned jobs ask for together."""
    if not workflow.dryrun or workflow.dag is None:
        return
    rows = {}
    for job in workflow.dag.needrun_jobs(exclude_finished=False):
        if not job.output or job.is_group():
            continue
        for name in (job.rule.name, "total"):
            row = rows.setdefault(name, {})
            for key, value in asked_by(job).items():
                row[key] = row.get(key, 0) + value
    if not rows:
        return
    order = [one.name for one in workflow.rules if one.name in rows] + ["total"]
    rows = {name: rows[name] for name in order}
    lines = ["Asked for (limits of the first attempt; most jobs end long before):"]
    lines.append(
        f"{'rule':<16} {'jobs':>6} {'CPU hours':>10} {'GPU hours':>10} {'GB':>9}"
    )
    for name, row in rows.items():
        lines.append(
            f"{name:<16} {row['jobs']:>6} {row['CPU hours']:>10.1f} {row['GPU hours']:>10.1f} {row['GB']:>9.3f}"
        )
    total = rows["total"]
    if total["known"]:
        lines.append(
            f"Expected: {total['took']:.2f} CPU hours for {total['known']} of {total['jobs']} jobs, as their last runs took."
        )
    unknown = [study for study in STUDIES if shape_of_study(study) is None]
    if unknown:
        lines.append(
            f"GB leaves out studies whose size lies in files that the plan does not read: {', '.join(unknown)}."
        )
    print("\n".join(lines), file=sys.stderr)


atexit.register(tell_totals)
