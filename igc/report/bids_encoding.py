"""Maps, receptive fields and scores of an encoding study as derivatives of the Brain Imaging Data Structure (BIDS)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from igc.report.bids_files import (
    Files,
    describe,
    files_of,
    made_by,
    origin_of,
    write_description,
    write_places,
    write_tables,
)
from igc.report.bids_names import Names, file_name, labels_of, place_of
from igc.report.selection import Results
from igc.roi.field_table import score_columns
from igc.roi.sets import RoiSet, from_labels
from igc.store.arrays import read_values
from igc.store.atomic import write_text

__all__ = ["TARGET_COLUMNS", "write_encoding"]

Tables = Mapping[tuple[str, str], pd.DataFrame]

TARGET_COLUMNS: Mapping[str, str] = {
    "x": "index of the voxel, from 0",
    "y": "index of the voxel, from 0",
    "z": "index of the voxel, from 0",
    "hemisphere": "0 left, 1 right",
    "vertex": "index within the hemisphere, from 0",
    "score": "correlation of prediction and response on held-out samples",
    "ceiling": "noise ceiling of these responses, percent of the variance",
    "normalized_score": "score over the root of the ceiling; n/a where the ceiling is too low to divide by",
    "row": "centre of the receptive field, pixels from the top",
    "column": "centre of the receptive field, pixels from the left",
    "size": "standard deviation of the receptive field, pixels",
    "angle": "polar angle of the centre, degrees: 0 right of the middle of the image, 90 above it",
    "eccentricity": "distance of the centre from the middle of the image, pixels",
    "amplitude": "height of the receptive field above its surroundings, in the unit of the map",
    "offset": "of the surroundings, in the unit of the map",
    "r2": "share of the map that the receptive field explains",
    "x_degrees": "centre right of the middle of the image, degrees of visual angle",
    "y_degrees": "centre above the middle of the image, degrees of visual angle",
    "size_degrees": "standard deviation of the receptive field, degrees of visual angle",
    "eccentricity_degrees": "distance of the centre from the middle of the image, degrees of visual angle",
}
"""What the columns of the table of targets mean: where they are, how well they are predicted, and what they look at."""

_POSITIONS = {"voxel_index": ("x", "y", "z"), "vertex_index": ("hemisphere", "vertex")}
_FIELDS = tuple(TARGET_COLUMNS)[8:]
_IMAGES = (
    *("score", "ceiling", "normalized_score", "angle", "eccentricity", "size", "r2"),
    *("size_degrees", "eccentricity_degrees"),
)
"""Columns that are written as images of the brain, too."""
_README = """{name}

What models that predict brain responses from images look at, made by igc {version}. `*_maps.nii.gz` files hold, for
each voxel or vertex, the map of its prediction over the image: axes are column (left to right), row (bottom to top),
channel and target. `*_targets.tsv` files have a row for each target in the same order: where it lies, how well it is
predicted, as it is and over the noise ceiling, and its receptive field. `*_statmap` files show columns of that table in
the brain (NaN where there is no value). `.bidsignore` lists what the standard does not know yet.
"""


def _target_table(result: xr.Dataset, samples: xr.Dataset, places: xr.Dataset, fields: pd.DataFrame | None) -> Any:
    """Return positions, scores and receptive fields of all targets."""
    name = next(one for one in _POSITIONS if one in places)
    position = read_values(places[name])
    columns: dict[str, Any] = {axis: position[:, i] for i, axis in enumerate(_POSITIONS[name])}
    columns |= score_columns(result, samples)
    if fields is not None:
        columns |= {key: fields[key].to_numpy(dtype=np.float64) for key in _FIELDS}
    return pd.DataFrame(columns)


def _image_affine(shape: tuple[int, ...], width: float | None) -> npt.NDArray[np.float64]:
    """Return indices (column, row from below) to degrees from the middle of the image, or to pixels."""
    step = 1.0 if width is None else float(width) / shape[-1]
    affine = np.diag([step, step, 1.0, 1.0])
    affine[:2, 3] = -step * (np.array([shape[-1], shape[-2]]) - 1) / 2
    return affine


def _write_maps(result: xr.Dataset, width: float | None, path: Path) -> dict[str, Any]:
    """Write the maps of all targets over the image as one file, and return what its sidecar says of their axes."""
    maps = read_values(result["attribution"]).astype(np.float32)
    # rows are stored from the top, and coordinates of images run upwards
    stack = np.ascontiguousarray(maps[:, :, ::-1].transpose(3, 2, 1, 0))
    image = nib.Nifti1Image(stack, _image_affine(maps.shape, width))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(image.to_bytes(), mtime=0))
    unit = "pixels" if width is None else "degrees of visual angle"
    return {"Axes": ["column", "row from below", "channel", "target"], "AxisUnits": f"{unit} from the middle"}


def _target_regions(samples: xr.Dataset) -> dict[str, RoiSet]:
    """Return the ROI sets that the targets belong to."""
    prefix = "target_atlas_"
    atlases = [str(name) for name in samples.data_vars if str(name).startswith(prefix)]
    return {
        name.removeprefix(prefix): from_labels(
            name.removeprefix(prefix), read_values(samples[name]), samples[name].attrs["regions"]
        )
        for name in atlases
    }


def _write_result(
    result: xr.Dataset,
    table: pd.DataFrame,
    files: Files,
    entities: Mapping[str, str],
    about: Mapping[str, Any],
    width: float | None,
    folder: Path,
) -> None:
    """Write the maps of one result, the table of its targets, and the columns of that as images."""
    path = folder / "func" / file_name(files.place, "maps.nii.gz", **entities)
    axes = _write_maps(result, width, path)
    described = "maps over the image of the targets of the table beside this file"
    describe(path, {"Description": described, **axes, **about})
    path = path.with_name(file_name(files.place, "targets.tsv", **entities))
    table.to_csv(path, sep="\t", index=False, na_rep="n/a", float_format="%.8g")
    columns = {name: {"Description": TARGET_COLUMNS[name]} for name in map(str, table.columns)}
    write_text(path.with_suffix(".json"), json.dumps(columns, indent=2) + "\n")
    labels = labels_of(_IMAGES)
    for name in (one for one in _IMAGES if one in table and table[one].notna().any()):
        values = table[name].to_numpy(dtype=np.float64)
        for written in files.write(values, folder, {"contrast": labels[name], **entities}, outside=np.nan):
            describe(written, {"Description": TARGET_COLUMNS[name], **about, "Units": TARGET_COLUMNS[name]})


def write_encoding(
    samples: xr.Dataset,
    places: xr.Dataset,
    results: Results,
    tables: Tables,
    fields: Tables,
    folder: Path,
    version: str,
) -> None:
    """Write a BIDS dataset of derivatives of a study that predicts brain responses from images.

    Parameters
    ----------
    samples : xarray.Dataset
        Samples of images.
    places : xarray.Dataset
        Where the targets lie, of :func:`igc.report.places.located_targets`.
    results : mapping of (str, str) to xarray.Dataset
        Results by model folder and name.
    tables, fields : mapping of (str, str) to pandas.DataFrame
        ROI tables, and tables of receptive fields of some of the results, by the same keys.
    folder : Path
        An empty folder.
    version : str
        Version of this package.
    """
    names = Names.of(samples, list(results), place_of(places))
    files, own = files_of(places, names.place), folder / f"sub-{names.place.subject}"
    origin, width = origin_of(samples, names.place), samples.attrs.get("field_of_view")
    for (model, method), result in results.items():
        table = _target_table(result, samples, places, fields.get((model, method)))
        entities = {"desc": names.models[model], "stat": names.methods[method]}
        _write_result(result, table, files, entities, {**origin, **made_by(samples, result, model)}, width, own)
    regions = _target_regions(samples)
    sets = labels_of([*regions, *(str(name) for table in tables.values() for name in table["set"].unique())])
    write_places(files, regions, sets, origin, own)
    write_tables(tables, names, sets, own)
    write_description(samples, folder, version, _README)
