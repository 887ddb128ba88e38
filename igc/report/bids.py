"""Maps, regions and tables of a study as derivatives of the Brain Imaging Data Structure (BIDS)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from igc.report.bids_files import describe, files_of, made_by, origin_of, write_description, write_places, write_tables
from igc.report.bids_names import Names, labels_of, place_of
from igc.report.selection import Results
from igc.roi.sets import RoiSet
from igc.store.arrays import read_values

__all__ = ["write_derivatives"]

_README = """{name}

Maps of dataset-wise attributions, made by igc {version}: see the sidecar of each map for the model, the method and its
settings. `*_statmap` files hold one value a voxel or vertex (0 outside the mask); `*_dseg` files hold the regions, and
`*_roi.tsv` files the sums over them. `.bidsignore` lists what the standard does not know yet.
"""


def finite(result: xr.Dataset, name: str, target: int) -> float | None:
    value = float(result[name].values[target]) if name in result else np.nan
    return value if np.isfinite(value) else None


def _sidecar(samples: xr.Dataset, result: xr.Dataset, model: str, target: int) -> dict[str, Any]:
    """Describe one map: what is attributed, by what, from which samples, and what it sums to."""
    return {
        "Description": f"attribution of {result['target'].values[target]}",
        **origin_of(samples, place_of(samples)),
        "Target": str(result["target"].values[target]),
        **made_by(samples, result, model),
        "Score": finite(result, "score", target),
        "Sum": float(result["attribution"][target].values.sum()),
        "ClosureResidual": finite(result, "completeness_error", target),
    }


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
    """Write a BIDS dataset of derivatives of a study that predicts from the brain.

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
    names = Names.of(samples, list(results), place_of(samples))
    writer, own = files_of(samples, names.place), folder / f"sub-{names.place.subject}"
    sets = labels_of([*rois, *(str(name) for table in tables.values() for name in table["set"].unique())])
    for model, method, result, number, target in _maps(results):
        values = read_values(result["attribution"][number]).astype(np.float64)
        entities = {"contrast": names.targets[target], "desc": names.models[model], "stat": names.methods[method]}
        for path in writer.write(values, own, entities):
            describe(path, _sidecar(samples, result, model, number))
    write_places(writer, rois, sets, origin_of(samples, names.place), own)
    write_tables(tables, names, sets, own)
    write_description(samples, folder, version, _README)
