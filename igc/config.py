"""The configuration of a run: one pydantic tree, which also generates the JSON schema the workflow validates with.

A run is a set of studies. A study names one dataset, how it is split, the models to fit, the attribution methods to
apply and the ROI sets to sum over. Every key is described in ``config/README.md``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from igc.block import Block, Name
from igc.config_nsd import NsdData, NsdRecipe
from igc.config_results import FieldSettings, GroupSettings, check_fields, check_groups, check_named
from igc.config_yardsticks import Yardsticks
from igc.errors import MissingFileError, explain
from igc.parsing import conditional, parse, read_text, read_yaml

__all__ = [
    "PLAIN_SAMPLERS",
    "AnalyticModel",
    "ArraysData",
    "AtlasFiles",
    "Config",
    "DataSource",
    "FieldSettings",
    "GroupSettings",
    "HaxbyData",
    "LinearModel",
    "MethodSettings",
    "MnistData",
    "ModelSettings",
    "NetworkModel",
    "NiftiData",
    "NsdData",
    "NsdRecipe",
    "RoiSource",
    "SamplerSettings",
    "SimulatedData",
    "Split",
    "Study",
    "Training",
    "Yardsticks",
    "json_schema",
    "load_config",
    "parse_block",
]

T = TypeVar("T")

PLAIN_SAMPLERS = ("zero", "mean", "marginal", "neighbours", "gaussian")
"""Samplers that a method may name without an entry under ``samplers``."""


# --- data ---------------------------------------------------------------------------------------------------------


class MnistData(Block):
    """Handwritten digits in IDX files: inputs (sample, channel, row, column) in [0, 1], one-hot responses."""

    kind: Literal["mnist"]
    source: str = Field(
        "embedded",
        description="'embedded' (10,000 training and 10,000 test digits), 'download' (all 70,000), or a folder "
        "holding the four IDX files, plain or gzipped",
    )
    download_folder: str = Field("resources/mnist", description="where 'download' puts the files")
    train_samples: int | None = Field(None, ge=1, description="use only the first so many training digits")
    test_samples: int | None = Field(None, ge=2, description="use only the first so many test digits")


class SimulatedData(Block):
    """Natural-spectrum images with planted masks, or voxels that look at them: the true answer is known."""

    kind: Literal["simulated"]
    experiment: Literal["weighted_sum", "maximum", "noisy_pair", "permuted", "fmri"] = Field(
        description="experiment A, B, C or D: a weighted sum of pixels; the largest of three region means; the "
        "larger of two cosines, one noisy; the best match among four corners; 'fmri': voxels with planted roles"
    )
    train_samples: int = Field(4000, ge=0, description="number of training images")
    test_samples: int = Field(4000, ge=2, description="number of held-out images")
    size: int = Field(64, ge=16, le=512, description="image height and width in pixels")


class AtlasFiles(Block):
    """A label image on the grid of the data, with an optional lookup table."""

    labels: str = Field(description="3-D NIfTI of whole-number labels; 0 and negative numbers are outside")
    table: str | None = Field(
        None, description="TSV or CSV with columns index, name and optionally color; every label must be named"
    )


class NiftiData(Block):
    """Functional images with an events table or a table of targets: inputs (sample, voxel)."""

    kind: Literal["nifti"]
    images: list[str] = Field(min_length=1, description="4-D NIfTI files, one a run, or a single file with all runs")
    mask: str = Field(description="3-D NIfTI; voxels above 0 are used")
    events: list[str] | None = Field(
        None, description="TSV files with columns onset, duration (seconds) and trial_type, one a run"
    )
    targets: str | None = Field(None, description="TSV file with one row a volume over all runs, in order")
    target_columns: list[str] | None = Field(
        None, description="columns of the targets table to predict; default: all but the run column"
    )
    category_column: str | None = Field(None, description="column of the targets table holding category names")
    run_column: str | None = Field(None, description="column of the targets table naming the run of each volume")
    group_column: str | None = Field(
        None, description="column naming the unit that no split may divide; default: the run"
    )
    run_lengths: list[int] | None = Field(
        None, description="volumes of each run, where one image holds several runs and no run column says so"
    )
    confounds: list[str] | None = Field(None, description="TSV or space-separated files, one a run or one for all")
    confound_columns: list[str] | None = Field(None, description="columns of the confounds to regress out")
    repetition_time: float | None = Field(None, gt=0, description="seconds; default: the header's")
    ignore: list[str] = Field(["rest"], description="categories whose volumes are left out")
    lag: float = Field(0.0, ge=0, description="seconds between an event and the volumes it labels")
    average: Literal["volume", "block"] = Field(
        "volume", description="one sample a volume, or one a block of consecutive volumes of the same category"
    )
    detrend: bool = Field(True, description="remove a linear trend from each voxel within each run")
    standardize: bool = Field(True, description="z-score each voxel within each run")
    high_pass: float | None = Field(None, gt=0, description="cut-off in hertz of a cosine high-pass filter")
    atlases: dict[Name, AtlasFiles] = Field({}, description="label images available as ROI sets")

    @model_validator(mode="after")
    def _one_source_of_targets(self) -> NiftiData:
        if (self.events is None) == (self.targets is None):
            raise ValueError("give exactly one of events and targets")
        if self.category_column and self.target_columns:
            raise ValueError("give only one of category_column and target_columns")
        return self


class HaxbyData(Block):
    """Haxby et al. (2001): object categories seen in the scanner, 8 categories, 12 runs."""

    kind: Literal["haxby"]
    source: str = Field(
        "embedded",
        description="'embedded' (half a slice of subject 1), 'download' (all of it, through nilearn), or a folder "
        "as nilearn lays it out",
    )
    subject: int = Field(1, ge=1, le=6, description="subject, with 'download' or a folder")
    mask: Literal["whole", "vt", "face", "house"] = Field("vt", description="which mask, ignored with 'embedded'")
    download_folder: str = Field("resources/haxby", description="where 'download' puts the files")
    average: Literal["volume", "block"] = Field("volume", description="as for kind nifti")


class ArraysData(Block):
    """Arrays made elsewhere: npy files or zarr arrays, with the sample on the first axis."""

    kind: Literal["arrays"]
    inputs: str = Field(description=".npy or .zarr, (sample, feature) or (sample, channel, row, column)")
    responses: str = Field(
        description=".npy or .zarr, (sample, target) numbers, or (sample,) whole numbers taken as categories"
    )
    groups: str | None = Field(None, description=".npy, (sample,): the unit that no split may divide")
    test: str | None = Field(None, description=".npy, (sample,) of 0 and 1: held-out samples, for split 'given'")
    target_names: list[str] | None = Field(None, description="names of the targets, in order")
    atlases: dict[Name, AtlasFiles] = Field(
        {}, description="ROI sets; here labels is a .npy array of the shape of one input"
    )


DataSource = Annotated[
    MnistData | SimulatedData | HaxbyData | NiftiData | ArraysData | NsdData, Field(discriminator="kind")
]


class Split(Block):
    """How samples are held out; a group (run, session, image) is never divided."""

    folds: Annotated[int, Field(ge=2)] | Literal["given"] = Field(
        "given", description="number of outer folds over groups, or 'given': the test set of the dataset itself"
    )


# --- models -------------------------------------------------------------------------------------------------------


class Training(Block):
    """Settings of the training loop of a network."""

    epochs: int = Field(30, ge=1, description="largest number of passes over the training samples")
    batch_size: int = Field(64, ge=1, description="samples a gradient step")
    learning_rate: float = Field(1e-3, gt=0, description="of AdamW, at its peak")
    weight_decay: float = Field(1e-2, ge=0, description="of AdamW")
    validation: float = Field(0.1, gt=0, lt=1, description="share of the training groups kept for early stopping")
    patience: int = Field(5, ge=1, description="epochs without improvement before stopping")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="for categories")
    input_noise: float = Field(0.0, ge=0, description="SD of Gaussian noise added to standardised training inputs")


class NetworkModel(Block):
    """A neural network from the registry of architectures, trained here."""

    kind: Literal["network"]
    architecture: str = Field(description="a name from igc.models.ARCHITECTURES")
    arguments: dict[str, Any] = Field({}, description="keyword arguments of the architecture")
    weights: str | None = Field(None, description="file whose tensors layers of the same names start from")
    frozen: bool = Field(False, description="these layers keep the weights of the file")
    training: Training = Field(Training(), description="settings of the training loop")
    seeds: list[int] = Field([0], min_length=1, description="one model is trained for each seed")


class LinearModel(Block):
    """Linear regression for values, logistic regression for categories, with regularisation chosen inside."""

    kind: Literal["linear"]
    fit: Literal["ridge", "banded", "logistic"] = Field("ridge", description="ridge, ridge by region, or logistic")
    bands: Name | None = Field(None, description="for 'banded': the ROI set whose regions are regularised apart")
    alphas: tuple[float, float, int] = Field(
        (1e-2, 1e8, 21), description="smallest, largest and number of the log-spaced regularisation strengths"
    )
    inner_folds: int = Field(5, ge=2, description="group-wise folds that choose the regularisation")
    seeds: list[int] = Field([0], min_length=1, description="one fit for each seed (of the inner folds)")


class AnalyticModel(Block):
    """The noise-free rule of a simulated experiment itself, as a module; nothing is trained."""

    kind: Literal["analytic"]
    seeds: list[int] = Field([0], min_length=1, max_length=1, description="kept for uniform paths")


ModelSettings = Annotated[NetworkModel | LinearModel | AnalyticModel, Field(discriminator="kind")]


# --- methods and regions --------------------------------------------------------------------------------------------


PoolStep = Annotated[int, Field(ge=1)] | Literal["channels", "rois"]
Pool = PoolStep | Annotated[list[PoolStep], Field(min_length=1)] | None


class MethodSettings(Block):
    """One attribution of every model; the key is the name of the result, ``method`` defaults to it."""

    method: Name | None = Field(None, description="a name from `igc methods`; default: the key itself")
    models: list[Name] | None = Field(None, description="only these models; default: all")
    baselines: Literal["data", "zero", "mean"] | Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="reference inputs: 'data' (the dataset itself), 'zero', 'mean', or so many drawn once and shared; "
        "default: the method's own",
    )
    points: float | None = Field(None, gt=0, description="gradient points a sample; default: until precise enough")
    tolerance: float | None = Field(None, gt=0, description="stop at this relative error of the map")
    output: Literal["raw", "probability", "log_probability"] = Field("raw", description="which output to explain")
    summary: Literal["mean", "mean_absolute", "covariance", "class_mean"] | None = Field(
        None,
        description="how per-sample maps become the map of the dataset, 'class_mean' for categories only; default: the "
        "method's own",
    )
    samples: int | None = Field(
        None, ge=3, description="explain only so many held-out samples of a fold, evenly spread; default: all"
    )
    examples: int | None = Field(
        None,
        ge=0,
        description="keep the single maps of so many held-out samples, of methods that explain samples one by one; "
        "default: those of the study's yardsticks, or 8",
    )
    pool: Pool = Field(
        None,
        description="sum maps while they are made: over squares of so many rows and columns, over 'channels', or both "
        "in a list; or 'rois': keep only the sums over regions. A cell's components then share its value evenly",
    )
    batch_size: int = Field(256, ge=1, description="samples or pairs a forward pass")
    file: str | None = Field(None, description="for 'given': maps made elsewhere, .npy, .zarr or NIfTI, one a target")
    shards: int = Field(
        1, ge=1, le=512, exclude=True, description="split the work of each map into so many jobs; changes no bit of it"
    )
    options: dict[str, Any] = Field({}, description="further options of the method")

    @model_validator(mode="after")
    def _one_stop(self) -> MethodSettings:
        if self.method == "given" and self.file is None:
            raise ValueError("method given needs a file")
        if self.file is not None and self.method not in ("given", None):
            raise ValueError("only method given has a file")
        if self.points is not None and self.tolerance is not None:
            raise ValueError("give only one of points and tolerance")
        return self


class SamplerSettings(Block):
    """What draws a part of an input given the rest; fitted for each fold on the samples that are not held out."""

    kind: Literal["zero", "mean", "marginal", "neighbours", "gaussian", "patch"] = Field(
        description="'zero', 'mean': fixed values; 'marginal': the same part of a random sample; 'neighbours': of one "
        "among those whose rest is closest; 'gaussian': a Gaussian given the rest; 'patch': a network for images"
    )
    train_samples: int | None = Field(
        None,
        ge=2,
        description="fit on so many training samples, evenly spread; default: all, 2000 for 'marginal' and "
        "'neighbours', which draw from them",
    )
    neighbours: int = Field(16, ge=1, description="for 'neighbours': how many to choose from")
    patch: int = Field(4, ge=1, le=64, description="for 'patch': side of a patch in pixels")
    levels: int = Field(8, ge=2, le=256, description="for 'patch': grey levels")
    filters: int | None = Field(
        None,
        ge=1,
        description="for 'patch': feature maps of the network; default: 16 times side times channels, 256 at most",
    )
    pixels: Literal["joint", "independent"] = Field(
        "joint", description="for 'patch': each pixel given those drawn before it, or each by itself, as published"
    )
    training: Training = Field(Training(), description="for 'patch': settings of the training loop")


class AtlasRois(Block):
    """Labels that came with the dataset."""

    kind: Literal["atlas"]
    atlas: Name = Field(description="name of an atlas of the study's data")


class RingRois(Block):
    """Concentric rings of equal width around the centre of an image."""

    kind: Literal["rings"]
    count: int = Field(3, ge=1, description="number of rings")


class QuadrantRois(Block):
    """The four quadrants of an image."""

    kind: Literal["quadrants"]


class HemisphereRois(Block):
    """Left and right of the mid-sagittal plane (world x = 0, or the middle of the mask)."""

    kind: Literal["hemispheres"]
    middle: Literal["world", "mask"] = Field("world", description="where the plane lies")


class WardRois(Block):
    """Spatially connected parcels of voxels with similar inputs (Ward clustering)."""

    kind: Literal["ward"]
    count: int = Field(8, ge=2, description="number of parcels")


class MaskRois(Block):
    """One mask a region; regions may not overlap within a set."""

    kind: Literal["masks"]
    masks: dict[str, str] = Field(min_length=1, description="region name to NIfTI or .npy file; above 0 is inside")


class TruthRois(Block):
    """The planted regions of a simulated experiment."""

    kind: Literal["truth"]


RoiSource = Annotated[
    AtlasRois | RingRois | QuadrantRois | HemisphereRois | WardRois | MaskRois | TruthRois,
    Field(discriminator="kind"),
]


class Study(Block):
    """One dataset with its split, models, methods and ROI sets."""

    title: str = Field("", description="one line for the report")
    data: DataSource = Field(description="where samples come from")
    split: Split = Field(Split(), description="how samples are held out")
    models: dict[Name, ModelSettings] = Field(min_length=1, description="models by name")
    methods: dict[Name, MethodSettings] = Field(
        {"igc": MethodSettings()}, min_length=1, description="attributions by name"
    )
    rois: dict[Name, RoiSource] = Field({}, description="ROI sets by name")
    samplers: dict[Name, SamplerSettings] = Field({}, description="samplers of parts of inputs, by name")
    yardsticks: Yardsticks = Field(Yardsticks(), description="how maps are judged")
    fields: FieldSettings = Field(FieldSettings(), description="receptive fields from maps over images")

    @model_validator(mode="after")
    def _known_references(self) -> Study:
        for key, method in self.methods.items():
            check_named(f"methods.{key}.models", method.models, self.models)
            sampler = method.options.get("sampler")
            if isinstance(sampler, str) and sampler not in self.samplers and sampler not in PLAIN_SAMPLERS:
                known_ones = sorted({*self.samplers, *PLAIN_SAMPLERS})
                raise ValueError(f"methods.{key}.options.sampler is {sampler!r}, but there are {known_ones}")
        check_named("yardsticks.models", self.yardsticks.models, self.models)
        check_fields(self.fields, self.models, self.methods)
        if isinstance(self.data, NsdData) and self.data.standardize == "train" and self.split.folds != "given":
            raise ValueError("data.standardize 'train' needs split.folds 'given': other folds have other training sets")
        known = getattr(self.data, "atlases", {})
        for key, rois in self.rois.items():
            if isinstance(rois, AtlasRois) and rois.atlas not in known:
                raise ValueError(f"rois.{key}.atlas names {rois.atlas!r}, but the atlases are {sorted(known)}")
        return self


class Config(Block):
    """A whole run."""

    seed: int = Field(0, ge=0, description="the one number that all randomness derives from")
    gpu_request: str = Field(
        "count",
        pattern=r"^(none|(count|gres)(:[A-Za-z0-9_.]+)?)$",
        description="how jobs ask a cluster for a GPU: 'count' (--gpus=1), 'gres' (--gres=gpu:1), either with a model "
        "as in 'gres:a100', or 'none'",
    )
    studies: dict[Name, Study] = Field(min_length=1, description="studies by name")
    groups: dict[Name, GroupSettings] = Field({}, description="studies whose ROI tables become one, by name")

    @model_validator(mode="after")
    def _known_studies(self) -> Config:
        check_groups(self.groups, self.studies)
        return self


# --- reading --------------------------------------------------------------------------------------------------------


def load_config(path: str | Path) -> Config:
    """Read and check a configuration file.

    Parameters
    ----------
    path : str or Path
        A YAML file.

    Returns
    -------
    Config

    Raises
    ------
    MissingFileError
        If there is no such file.
    ConfigError
        If a key is unknown or a value not allowed; the message names the path of the key.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(explain(file, "no such file", "a YAML configuration", "check the path"))
    return parse(Config, read_yaml(read_text(file), str(file)), str(file))  # type: ignore[no-any-return]


def parse_block(kind: Any, text: str) -> Any:
    """Read one block of the configuration, as the workflow hands it to a command.

    Parameters
    ----------
    kind : type
        The class or annotated union to parse, for example :data:`DataSource`.
    text : str
        JSON or YAML text, or the path of a file holding it.

    Returns
    -------
    object
        An instance of ``kind``.

    Raises
    ------
    ConfigError
        If the block is not allowed.
    MissingFileError
        If the text is the name of a file that does not exist.
    """
    candidate = Path(text) if len(text) < 1000 and "{" not in text else None
    if candidate is not None and candidate.is_file():
        return parse(kind, read_yaml(read_text(candidate), text), text)
    if candidate is not None and candidate.suffix in {".yaml", ".yml", ".json"}:
        allowed = "a block as JSON or YAML text, or a file holding it"
        raise MissingFileError(explain(f"settings: {text}", "no such file", allowed, "check the path"))
    return parse(kind, read_yaml(text, "settings"), "settings")


# --- schema ---------------------------------------------------------------------------------------------------------


def json_schema() -> str:
    """Return the JSON schema of :class:`Config` as text, ready to be written to ``workflow/schemas``."""
    schema = conditional(Config.model_json_schema())
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=2, sort_keys=False) + "\n"
