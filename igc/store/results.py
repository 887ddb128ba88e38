"""Attribution results: one zarr folder a (study, model, method), with where they came from in their attributes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from igc.errors import DataError, explain
from igc.store.arrays import open_store, read_values, save_dataset

__all__ = ["closing_total", "fold_weights_of", "groups_of", "open_result", "save_result"]


def closing_total(result: xr.Dataset) -> npt.NDArray[np.float64] | None:
    """Return what the map of each target must sum to.

    Parameters
    ----------
    result : xarray.Dataset
        An attribution result.

    Returns
    -------
    array (target,), optional
        The score; or 1 for maps of what the model uses, NaN where the map is undefined; None where the method promises
        no sum.
    """
    closes_to = result.attrs.get("closes_to", "score" if result.attrs.get("complete") else "")
    if closes_to == "score":
        return read_values(result["score"]).astype(np.float64)
    if closes_to == "one":
        maps = next(result[name] for name in result if str(name).startswith("attribution"))
        first = read_values(maps[(slice(None), *[0] * (maps.ndim - 1))])
        return np.where(np.isnan(first), np.nan, 1.0)
    return None


def save_result(result: xr.Dataset, path: str | Path) -> None:
    """Write the result of :func:`igc.attribute`, whole or not at all.

    Parameters
    ----------
    result : xarray.Dataset
        With ``attribution`` (target, component...) and ``score`` (target).
    path : str or Path
        The folder to make, by custom ending in ``.zarr``.
    """
    save_dataset(result, path)


def open_result(path: str | Path) -> xr.Dataset:
    """Open an attribution result lazily.

    Parameters
    ----------
    path : str or Path
        The folder, or the ``zarr.json`` in it.

    Returns
    -------
    xarray.Dataset
        See :func:`igc.attribute`.

    Raises
    ------
    MissingFileError, StoreError
        If it is missing or damaged.
    DataError
        If the store holds something else.
    """
    result = open_store(path)
    if "score" not in result or not any(str(name).startswith("attribution") for name in result):
        allowed = "an attribution result with `score` and `attribution`"
        raise DataError(explain(path, f"variables {sorted(map(str, result))}", allowed, "make it with `igc attribute`"))
    return result


def fold_weights_of(result: xr.Dataset) -> npt.NDArray[np.float64]:
    """Return the weight of each fold in a result's maps, (fold, target); folds without a score do not count."""
    scores = read_values(result["score_fold"]).astype(np.float64)
    sizes = np.asarray(result["n_fold"].values, dtype=np.float64)[:, None]
    weights = np.where(np.isnan(scores), 0.0, sizes)
    total = weights.sum(axis=0)
    return np.asarray(np.divide(weights, total, out=np.full_like(weights, np.nan), where=total > 0))


def groups_of(result: xr.Dataset) -> list[npt.NDArray[np.float64]]:
    """Return the ROI sums without each group, (group, target, roi) for each fold."""
    folds = read_values(result["roi_without_group"]).astype(np.float64)
    return [rows[~np.isnan(rows).all(axis=(1, 2))] for rows in folds]
