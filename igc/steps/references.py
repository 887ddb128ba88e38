"""What stands in for the parts of an input that are taken away, when maps are judged."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import xarray as xr

from igc.attribution.information.infill import neighbour_infill
from igc.comparison.judged import Array, Prepare, Rows, blurred_reference, constant_reference, image_grid
from igc.comparison.regions import conditional_reference
from igc.store.arrays import read_values

__all__ = ["BANK", "infill_reference", "references_of", "training_rows"]

BANK = 500
"""Training samples that parts are filled in from."""
BLUR = 5.0
NEEDS_PIXELS = 8


def training_rows(samples: xr.Dataset, fold: int, most: int) -> Rows:
    """Return rows of samples that the model of a fold may have been trained on, evenly spread.

    Parameters
    ----------
    samples : xarray.Dataset
        Opened samples.
    fold : int
        The fold that is held out.
    most : int
        Rows at most.

    Returns
    -------
    array of int (row,)
        Of samples that are in no fold where there are any, else of all other folds.
    """
    folds = np.asarray(samples["fold"].values, dtype=np.int64)
    rows = np.flatnonzero(folds < 0) if (folds < 0).any() else np.flatnonzero(folds != fold)
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64))]


def infill_reference(samples: xr.Dataset, folds: Rows) -> Prepare | None:
    """Fill parts in from the training sample whose rest is closest, of the fold of each judged sample.

    Parameters
    ----------
    samples : xarray.Dataset
        Opened samples.
    folds : array of int (sample,)
        Folds of the judged samples.

    Returns
    -------
    Prepare or None
        None where there are no training samples: the rule of a simulation needs none.
    """
    rows = {fold: training_rows(samples, fold, BANK) for fold in map(int, np.unique(folds))}
    if not all(map(len, rows.values())):
        return None
    fills = {fold: neighbour_infill(read_values(samples["inputs"], some)) for fold, some in rows.items()}
    return conditional_reference(fills, folds)


def references_of(
    samples: xr.Dataset, mean: Array, folds: Rows, chosen: Collection[str] | None = None
) -> dict[str, Prepare]:
    """Return what stands in for parts that are taken away.

    Parameters
    ----------
    samples : xarray.Dataset
        Opened samples.
    mean : array (component...)
        Mean input.
    folds : array of int (sample,)
        Folds of the judged samples.
    chosen : collection of str, optional
        Which ones; default: all that there are.

    Returns
    -------
    dict of str to Prepare
        ``zero``, ``mean``, for images ``blurred``, and ``infill`` where there are training samples.
    """
    grid = image_grid(tuple(samples["inputs"].shape[1:]))
    found = {"zero": constant_reference(0.0), "mean": constant_reference(mean)}
    if grid is not None and min(grid) >= NEEDS_PIXELS:
        found["blurred"] = blurred_reference(BLUR)
    if chosen is None or "infill" in chosen:
        infill = infill_reference(samples, folds)
        found |= {} if infill is None else {"infill": infill}
    return {name: prepare for name, prepare in found.items() if chosen is None or name in chosen}
