"""Attribution results: one zarr folder a (study, model, method), with where they came from in their attributes."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from igc.errors import DataError, explain
from igc.store.arrays import open_store, save_dataset

__all__ = ["open_result", "save_result"]


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
