"""Names, descriptions and sidecars of files as the Brain Imaging Data Structure (BIDS) wants them.

The standard has no suffix for statistical maps and no table of regions yet: those follow the spelling of nilearn
(``contrast-``, ``stat-``, ``_statmap``), and ``.bidsignore`` tells validators so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr

__all__ = [
    "BIDS_VERSION",
    "COLUMNS",
    "IGNORED",
    "Names",
    "Place",
    "dataset_description",
    "file_name",
    "labels_of",
    "place_of",
    "table_description",
]

BIDS_VERSION = "1.10.0"

IGNORED = ("*_statmap.*", "*_roi.tsv", "*_roi.json", "*_maps.*", "*_targets.*")
"""Lines of ``.bidsignore``: what the standard does not know yet."""

_ORDER = ("sub", "task", "hemi", "space", "contrast", "seg", "den", "desc", "stat")

_TASKS = {"nsd": "nsdcore", "haxby": "objectviewing"}
# the number of vertices of a hemisphere by which the standard calls a density
_DENSITIES = {163842: "164k", 40962: "41k", 10242: "10k"}

COLUMNS: Mapping[str, str] = {
    "set": "ROI set",
    "index": "label of the region in the segmentation of the same ROI set; 0 is the rest",
    "roi": "region",
    "target": "what the model predicts",
    "n_components": "voxels or vertices",
    "attribution": "sum over the region: its share of the score, for methods whose maps sum to the score",
    "se": "standard error over held-out samples",
    "estimator_error": "standard error of the estimate for these samples",
    "ci_low": "lower end of the 95 % confidence interval",
    "ci_high": "upper end of the 95 % confidence interval",
    "z": "attribution divided by its standard deviation without a relation to the target",
    "p": "two-sided probability of so large a z without a relation",
    "q": "smallest false discovery rate at which the region would be named",
    "positive": "sum of the positive values in the region",
    "negative": "sum of the negative values in the region",
    "share": "part of the score, in 0 to 1",
}
"""What the columns of the ROI tables mean."""


@dataclass(frozen=True)
class Place:
    """What all file names of a study have in common.

    Attributes
    ----------
    subject, task : str
        Labels.
    space : str or None
        Label of the space; None: that of the functional images themselves.
    density : str or None
        Of a surface that the standard knows by its number of vertices.
    """

    subject: str
    task: str
    space: str | None = None
    density: str | None = None


def _label(text: str) -> str:
    """Return text as a label: letters and digits, each further word with a capital."""
    words = re.findall(r"[A-Za-z0-9]+", text)
    return "".join([*words[:1], *(word[:1].upper() + word[1:] for word in words[1:])]) or "x"


def labels_of(names: Iterable[str]) -> dict[str, str]:
    """Return a label for each name, different ones for different names also where case does not count.

    Parameters
    ----------
    names : iterable of str
        Any texts.

    Returns
    -------
    dict of str to str
    """
    labels: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        label, number = _label(name), 1
        while label.lower() in taken:
            number += 1
            label = f"{_label(name)}X{number}"
        taken.add(label.lower())
        labels[name] = label
    return labels


def _entity(files: Iterable[str], key: str) -> str | None:
    """Find an entity in the names of the study's own files."""
    found = {match[1] for file in files if (match := re.search(rf"(?:^|[_/]){key}-([A-Za-z0-9]+)", file))}
    return found.pop() if len(found) == 1 else None


def place_of(samples: xr.Dataset) -> Place:
    """Find out subject, task and space of a study.

    Parameters
    ----------
    samples : xarray.Dataset
        Samples of voxels or vertices.

    Returns
    -------
    Place
        Subject "01" where neither the settings nor the names of the files tell it.
    """
    origin = samples.attrs.get("source") or {}
    settings = origin.get("settings") or {}
    files = [str(file) for file in [*(settings.get("images") or []), *(origin.get("files") or [])]]
    kind = settings.get("kind", "")
    subject = settings.get("subject")
    label = f"{int(subject):02d}" if isinstance(subject, int) else _entity(files, "sub") or "01"
    task = _TASKS.get(kind) or _entity(files, "task") or _label(str(samples.attrs.get("study", "study")))
    space = "fsnative" if settings.get("space") == "nativesurface" else settings.get("space")
    counts = samples.attrs.get("hemisphere_vertices") or [0]
    density = _DENSITIES.get(int(counts[0])) if space == "fsaverage" else None
    return Place(label, task, _label(space) if space else _entity(files, "space"), density)


def file_name(place: Place, suffix: str, **entities: str) -> str:
    """Return the name of a file.

    Parameters
    ----------
    place : Place
        Common entities.
    suffix : str
        With its ending, for example ``statmap.nii.gz``.
    **entities : str
        Labels; ``task=""`` leaves out an entity of the place.

    Returns
    -------
    str
        Entities in the order of the standard, then the suffix.
    """
    common = {"sub": place.subject, "task": place.task, "space": place.space or "", "den": place.density or ""}
    values = common | entities
    return "_".join([*(f"{key}-{values[key]}" for key in _ORDER if values.get(key)), suffix])


@dataclass(frozen=True)
class Names:
    """Labels of everything that file names name.

    Attributes
    ----------
    place : Place
        What they have in common.
    models, methods, targets : mapping of str to str
        Label by name.
    """

    place: Place
    models: Mapping[str, str]
    methods: Mapping[str, str]
    targets: Mapping[str, str]

    @classmethod
    def of(cls, samples: xr.Dataset, keys: list[tuple[str, str]], place: Place) -> Names:
        """Return the labels of the targets of samples, and of the models and methods of results."""
        models, methods = (labels_of(sorted({key[i] for key in keys})) for i in (0, 1))
        return cls(place, models, methods, labels_of(map(str, samples["target"].values)))


def dataset_description(samples: xr.Dataset, version: str) -> dict[str, Any]:
    """Return the content of ``dataset_description.json``.

    Parameters
    ----------
    samples : xarray.Dataset
        Samples of the study.
    version : str
        Version of this package.

    Returns
    -------
    dict
    """
    origin = samples.attrs.get("source") or {}
    described: dict[str, Any] = {
        "Name": str(samples.attrs.get("title") or samples.attrs.get("study") or "study"),
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "igc", "Version": version, "Description": "dataset-wise attribution of a prediction"}],
    }
    if origin.get("citation"):
        described["HowToAcknowledge"] = f"Cite the data: {origin['citation']}"
        described["ReferencesAndLinks"] = [str(origin["citation"])]
    return described


def table_description(columns: Iterable[str]) -> dict[str, Any]:
    """Return the sidecar of a ROI table.

    Parameters
    ----------
    columns : iterable of str
        Its columns.

    Returns
    -------
    dict
    """
    return {column: {"Description": COLUMNS.get(column, column)} for column in columns}
