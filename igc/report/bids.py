"""Maps, regions and tables of a study as derivatives of the Brain Imaging Data Structure (BIDS)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from igc.report.bids_names import (
    IGNORED,
    Place,
    dataset_description,
    file_name,
    labels_of,
    place_of,
    table_description,
)
from igc.report.selection import Results
from igc.report.volumes import Geometry
from igc.roi.sets import RoiSet
from igc.store.arrays import read_values
from igc.store.atomic import write_text

__all__ = ["write_derivatives"]

Values = npt.NDArray[Any]
Entities = Mapping[str, str]
_AVERAGE = "the average surface of FreeSurfer, fsaverage"
_SIDES = (("L", "CortexLeft"), ("R", "CortexRight"))
_README = """{name}

Maps of dataset-wise attributions, made by igc {version}: see the sidecar of each map for the model, the method and its
settings. `*_statmap` files hold one value a voxel or vertex (0 outside the mask); `*_dseg` files hold the regions, and
`*_roi.tsv` files the sums over them. `.bidsignore` lists what the standard does not know yet.
"""


@dataclass(frozen=True)
class _Volume:
    """Writes values of voxels on the grid of the images."""

    geometry: Geometry
    place: Place

    def write(
        self, values: Values, folder: Path, entities: Entities, labels: RoiSet | None = None, suffix: str = "statmap"
    ) -> list[Path]:
        ending = "dseg.nii.gz" if labels else f"{suffix}.nii.gz"
        dtype = np.float32 if np.issubdtype(values.dtype, np.floating) else np.int32
        image = nib.Nifti1Image(self.geometry.embed(values.astype(np.float64)).astype(dtype), self.geometry.affine)
        image.header.set_xyzt_units("mm")
        path = folder / "func" / file_name(self.place, ending, **entities)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(image.to_bytes(), mtime=0))
        return [path]


@dataclass(frozen=True)
class _Surface:
    """Writes values of vertices, one file a hemisphere."""

    counts: tuple[int, int]
    index: npt.NDArray[np.int64]
    place: Place

    def write(
        self, values: Values, folder: Path, entities: Entities, labels: RoiSet | None = None, suffix: str = "statmap"
    ) -> list[Path]:
        paths = []
        for side, (letter, structure) in enumerate(_SIDES):
            inside = self.index[:, 0] == side
            whole = np.zeros(self.counts[side], dtype=np.float32 if labels is None else np.int32)
            whole[self.index[inside, 1]] = values[inside]
            # the standard keeps labels of vertices with the anatomy, which has no task
            kind, given = ("func", {**entities}) if labels is None else ("anat", {**entities, "task": ""})
            ending = f"{suffix}.shape.gii" if labels is None else "dseg.label.gii"
            path = folder / kind / file_name(self.place, ending, hemi=letter, **given)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_gifti(whole, structure, labels).to_bytes())
            paths.append(path)
        return paths


def _gifti(values: Values, structure: str, labels: RoiSet | None) -> nib.GiftiImage:
    intent = "NIFTI_INTENT_SHAPE" if labels is None else "NIFTI_INTENT_LABEL"
    image = nib.GiftiImage(meta=nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure}))
    image.add_gifti_data_array(nib.gifti.GiftiDataArray(values, intent=intent))
    if labels is not None:
        for code, name, color in _lookup(labels).itertuples(index=False):
            parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
            entry = nib.gifti.GiftiLabel(code, *parts, 1.0 if code else 0.0)
            entry.label = name
            image.labeltable.labels.append(entry)
    return image


def _lookup(labels: RoiSet) -> pd.DataFrame:
    """Return the regions of a set as the standard's table: index, name, color."""
    rows = [(index, labels.region(index)) for index in labels.indices]
    return pd.DataFrame([(index, one.name, one.color) for index, one in rows], columns=["index", "name", "color"])


def _finite(result: xr.Dataset, name: str, target: int) -> float | None:
    value = float(result[name].values[target]) if name in result else np.nan
    return value if np.isfinite(value) else None


def _sidecar(samples: xr.Dataset, result: xr.Dataset, model: str, target: int) -> dict[str, Any]:
    """Describe one map: what is attributed, by what, from which samples, and what it sums to."""
    attributes = dict(result.attrs)
    origin = samples.attrs.get("source") or {}
    complete = bool(attributes.get("complete"))
    return {
        "Description": f"attribution of {result['target'].values[target]}",
        **_origin(samples, place_of(samples)),
        "Units": "correlation units, sums to the score" if complete else "unit of the method",
        "Target": str(result["target"].values[target]),
        "Model": model,
        "ModelDigest": attributes.get("model_digest"),
        "SamplesDigest": attributes.get("samples_digest"),
        "Method": attributes.get("method"),
        "MethodSource": attributes.get("source"),
        "Seed": attributes.get("seed"),
        "Baselines": attributes.get("baselines"),
        "Points": attributes.get("points"),
        "Output": attributes.get("output"),
        "HeldOutSamples": int(result["n_fold"].values.sum()) if "n_fold" in result else None,
        "Score": _finite(result, "score", target),
        "Sum": float(result["attribution"][target].values.sum()),
        "ClosureResidual": _finite(result, "completeness_error", target),
        "SoftwareVersion": attributes.get("igc_version"),
        "Data": origin.get("settings") or {},
    }


def _described(path: Path, content: Mapping[str, Any]) -> None:
    """Write the sidecar of a file."""
    stem = path.name.split(".")[0]
    kept = {key: value for key, value in content.items() if value is not None}
    write_text(path.with_name(f"{stem}.json"), json.dumps(kept, indent=2) + "\n")


def _origin(samples: xr.Dataset, place: Place) -> dict[str, Any]:
    """Say what every image of a study was made from, and what its positions refer to."""
    source = samples.attrs.get("source") or {}
    own = f"the subject's own {place.space}" if place.space else "the functional images of the subject"
    reference = _AVERAGE if place.space == "fsaverage" else f"{own}, as the data define it"
    return {"Sources": [str(file) for file in source.get("files") or []], "SpatialReference": reference}


def _writer(samples: xr.Dataset, place: Place) -> _Volume | _Surface:
    if "hemisphere_vertices" in samples.attrs:
        left, right = (int(count) for count in samples.attrs["hemisphere_vertices"])
        return _Surface((left, right), read_values(samples["vertex_index"]).astype(np.int64), place)
    return _Volume(Geometry.of(samples), place)


def _write_regions(
    writer: _Volume | _Surface,
    rois: Mapping[str, RoiSet],
    sets: Mapping[str, str],
    origin: Mapping[str, Any],
    folder: Path,
) -> None:
    for name, labels in rois.items():
        for path in writer.write(np.asarray(labels.labels), folder, {"seg": sets[name]}, labels):
            _described(path, {"Description": f"ROI set {name}; 0 is the rest", **origin})
        kind, task = ("anat", "") if isinstance(writer, _Surface) else ("func", writer.place.task)
        table = folder / kind / file_name(writer.place, "dseg.tsv", seg=sets[name], task=task)
        _lookup(labels).to_csv(table, sep="\t", index=False)
        if isinstance(writer, _Surface):
            _described(table, {"Description": f"regions of the ROI set {name}", **origin})


def _write_tables(
    tables: Mapping[tuple[str, str], pd.DataFrame], names: _Names, sets: Mapping[str, str], folder: Path
) -> None:
    """Write the ROI tables, one a set."""
    for (model, method), table in tables.items():
        for name, part in table.groupby("set", sort=False):
            entities = {"seg": sets[str(name)], "desc": names.models[model], "stat": names.methods[method]}
            path = folder / "func" / file_name(names.place, "roi.tsv", **entities)
            path.parent.mkdir(parents=True, exist_ok=True)
            part.to_csv(path, sep="\t", index=False, na_rep="n/a")
            _described(path, table_description(map(str, part.columns)))


@dataclass(frozen=True)
class _Names:
    """Labels of everything that file names name."""

    place: Place
    models: Mapping[str, str]
    methods: Mapping[str, str]
    targets: Mapping[str, str]

    @classmethod
    def of(cls, samples: xr.Dataset, keys: list[tuple[str, str]]) -> _Names:
        models, methods = (labels_of(sorted({key[i] for key in keys})) for i in (0, 1))
        return cls(place_of(samples), models, methods, labels_of(map(str, samples["target"].values)))


def _maps(results: Results) -> Iterator[tuple[str, str, xr.Dataset, int, str]]:
    for (model, method), result in results.items():
        for number, target in enumerate(result["target"].values):
            yield model, method, result, number, str(target)


def write_derivatives(
    samples: xr.Dataset,
    results: Results,
    rois: Mapping[str, RoiSet],
    tables: Mapping[tuple[str, str], pd.DataFrame],
    folder: Path,
    version: str,
) -> None:
    """Write a BIDS dataset of derivatives.

    Parameters
    ----------
    samples : xarray.Dataset
        Samples of voxels or vertices.
    results : mapping of (str, str) to xarray.Dataset
        Results by model folder and name.
    rois : mapping of str to RoiSet
        Their ROI sets.
    tables : mapping of (str, str) to pandas.DataFrame
        ROI tables, by the same keys; their values are written as they are.
    folder : Path
        An empty folder.
    version : str
        Version of this package.
    """
    names = _Names.of(samples, list(results))
    writer, own = _writer(samples, names.place), folder / f"sub-{names.place.subject}"
    sets = labels_of([*rois, *(str(name) for table in tables.values() for name in table["set"].unique())])
    for model, method, result, number, target in _maps(results):
        values = read_values(result["attribution"][number]).astype(np.float64)
        entities = {"contrast": names.targets[target], "desc": names.models[model], "stat": names.methods[method]}
        for path in writer.write(values, own, entities):
            _described(path, _sidecar(samples, result, model, number))
    origin = _origin(samples, names.place)
    mask = np.ones(samples.sizes["voxel"], dtype=np.int32)
    if isinstance(writer, _Volume):
        for path in writer.write(mask, own, {"desc": "used"}, suffix="mask"):
            _described(path, {"Type": "ROI", "Description": "voxels in use", **origin})
    _write_regions(writer, rois, sets, origin, own)
    _write_tables(tables, names, sets, own)
    described = dataset_description(samples, version)
    write_text(folder / "dataset_description.json", json.dumps(described, indent=2) + "\n")
    write_text(folder / "README", _README.format(name=described["Name"], version=version))
    write_text(folder / ".bidsignore", "\n".join(IGNORED) + "\n")
