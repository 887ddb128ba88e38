"""Files of the Brain Imaging Data Structure (BIDS): images of voxels or vertices, regions, tables and descriptions."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from igc.report.bids_names import IGNORED, Names, Place, dataset_description, file_name, table_description
from igc.report.volumes import Geometry
from igc.roi.sets import RoiSet
from igc.store.arrays import read_values
from igc.store.atomic import write_text

__all__ = [
    "Files",
    "SurfaceFiles",
    "VolumeFiles",
    "describe",
    "files_of",
    "made_by",
    "origin_of",
    "write_description",
    "write_places",
    "write_tables",
]

Values = npt.NDArray[Any]
Entities = Mapping[str, str]
_AVERAGE = "the average surface of FreeSurfer, fsaverage"
_SIDES = (("L", "CortexLeft"), ("R", "CortexRight"))


@dataclass(frozen=True)
class VolumeFiles:
    """Writes values of voxels on the grid of the images."""

    geometry: Geometry
    place: Place

    def write(
        self,
        values: Values,
        folder: Path,
        entities: Entities,
        labels: RoiSet | None = None,
        suffix: str = "statmap",
        outside: float = 0.0,
    ) -> list[Path]:
        """Write values (voxel,), or labels of a ROI set, with what is written elsewhere; return the file."""
        ending = "dseg.nii.gz" if labels else f"{suffix}.nii.gz"
        dtype = np.float32 if np.issubdtype(values.dtype, np.floating) else np.int32
        volume = self.geometry.embed(values.astype(np.float64), outside).astype(dtype)
        image = nib.Nifti1Image(volume, self.geometry.affine)
        image.header.set_xyzt_units("mm")
        path = folder / "func" / file_name(self.place, ending, **entities)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(image.to_bytes(), mtime=0))
        return [path]


@dataclass(frozen=True)
class SurfaceFiles:
    """Writes values of vertices, one file a hemisphere."""

    counts: tuple[int, int]
    index: npt.NDArray[np.int64]
    place: Place

    def write(
        self,
        values: Values,
        folder: Path,
        entities: Entities,
        labels: RoiSet | None = None,
        suffix: str = "statmap",
        outside: float = 0.0,
    ) -> list[Path]:
        """Write values (vertex,), or labels of a ROI set, with what is written elsewhere; return the files."""
        paths = []
        for side, (letter, structure) in enumerate(_SIDES):
            inside = self.index[:, 0] == side
            whole = np.full(self.counts[side], outside, dtype=np.float32 if labels is None else np.int32)
            whole[self.index[inside, 1]] = values[inside]
            # the standard keeps labels of vertices with the anatomy, which has no task
            kind, given = ("func", {**entities}) if labels is None else ("anat", {**entities, "task": ""})
            ending = f"{suffix}.shape.gii" if labels is None else "dseg.label.gii"
            path = folder / kind / file_name(self.place, ending, hemi=letter, **given)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_gifti(whole, structure, labels).to_bytes())
            paths.append(path)
        return paths


Files = VolumeFiles | SurfaceFiles
"""Where the images of a study are written."""


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


def made_by(samples: xr.Dataset, result: xr.Dataset, model: str) -> dict[str, Any]:
    """Describe what all maps of a result have in common."""
    attributes = dict(result.attrs)
    origin = samples.attrs.get("source") or {}
    complete = bool(attributes.get("complete"))
    return {
        "Units": "correlation units, sums to the score" if complete else "unit of the method",
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
        "SoftwareVersion": attributes.get("igc_version"),
        "Data": origin.get("settings") or {},
    }


def describe(path: Path, content: Mapping[str, Any]) -> None:
    """Write the sidecar of a file."""
    stem = path.name.split(".")[0]
    kept = {key: value for key, value in content.items() if value is not None}
    write_text(path.with_name(f"{stem}.json"), json.dumps(kept, indent=2) + "\n")


def origin_of(samples: xr.Dataset, place: Place) -> dict[str, Any]:
    """Say what every image of a study was made from, and what its positions refer to."""
    source = samples.attrs.get("source") or {}
    own = f"the subject's own {place.space}" if place.space else "the functional images of the subject"
    reference = _AVERAGE if place.space == "fsaverage" else f"{own}, as the data define it"
    return {"Sources": [str(file) for file in source.get("files") or []], "SpatialReference": reference}


def files_of(samples: xr.Dataset, place: Place) -> Files:
    """Return where images of the voxels or vertices of samples are written."""
    if "hemisphere_vertices" in samples.attrs:
        left, right = (int(count) for count in samples.attrs["hemisphere_vertices"])
        return SurfaceFiles((left, right), read_values(samples["vertex_index"]).astype(np.int64), place)
    return VolumeFiles(Geometry.of(samples), place)


def _write_regions(
    writer: Files,
    rois: Mapping[str, RoiSet],
    sets: Mapping[str, str],
    origin: Mapping[str, Any],
    folder: Path,
) -> None:
    for name, labels in rois.items():
        for path in writer.write(np.asarray(labels.labels), folder, {"seg": sets[name]}, labels):
            describe(path, {"Description": f"ROI set {name}; 0 is the rest", **origin})
        kind, task = ("anat", "") if isinstance(writer, SurfaceFiles) else ("func", writer.place.task)
        table = folder / kind / file_name(writer.place, "dseg.tsv", seg=sets[name], task=task)
        _lookup(labels).to_csv(table, sep="\t", index=False)
        if isinstance(writer, SurfaceFiles):
            describe(table, {"Description": f"regions of the ROI set {name}", **origin})


def write_places(
    writer: Files,
    rois: Mapping[str, RoiSet],
    sets: Mapping[str, str],
    origin: Mapping[str, Any],
    folder: Path,
) -> None:
    """Write which voxels are in use, and the regions they belong to."""
    if isinstance(writer, VolumeFiles):
        mask = np.ones(len(writer.geometry.voxel_index), dtype=np.int32)
        for path in writer.write(mask, folder, {"desc": "used"}, suffix="mask"):
            describe(path, {"Type": "ROI", "Description": "voxels in use", **origin})
    _write_regions(writer, rois, sets, origin, folder)


def write_tables(
    tables: Mapping[tuple[str, str], pd.DataFrame], names: Names, sets: Mapping[str, str], folder: Path
) -> None:
    """Write the ROI tables, one a set."""
    for (model, method), table in tables.items():
        for name, part in table.groupby("set", sort=False):
            entities = {"seg": sets[str(name)], "desc": names.models[model], "stat": names.methods[method]}
            path = folder / "func" / file_name(names.place, "roi.tsv", **entities)
            path.parent.mkdir(parents=True, exist_ok=True)
            part.to_csv(path, sep="\t", index=False, na_rep="n/a")
            describe(path, table_description(map(str, part.columns)))


def write_description(samples: xr.Dataset, folder: Path, version: str, readme: str) -> None:
    """Write what a dataset must have beside its files."""
    described = dataset_description(samples, version)
    write_text(folder / "dataset_description.json", json.dumps(described, indent=2) + "\n")
    write_text(folder / "README", readme.format(name=described["Name"], version=version))
    write_text(folder / ".bidsignore", "\n".join(IGNORED) + "\n")
