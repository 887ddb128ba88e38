"""How well ROI profiles would be found again: in other groups of samples, and with other seeds of the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from igc.errors import DataError, explain
from igc.stats.inference import seed_spread
from igc.stats.resampling import split_half_reliability
from igc.store.arrays import read_values
from igc.store.results import fold_weights_of, groups_of

__all__ = ["RELIABILITY_COLUMNS", "SEED_COLUMNS", "reliability_table", "seed_table"]

RELIABILITY_COLUMNS = ("set", "target", "n_regions", "n_groups", "half_correlation", "reliability", "map_reliability")
"""Columns of :func:`reliability_table`."""

SEED_COLUMNS = (
    *("set", "index", "roi", "target", "n_seeds", "attribution", "seed_sd", "sampling_se", "estimator_error"),
    "total_se",
)
"""Columns of :func:`seed_table`."""

Array = npt.NDArray[np.float64]


def reliability_table(result: xr.Dataset, seed: int = 0) -> pd.DataFrame:
    """Return the split-half reliability of the ROI profile of each set and target.

    Parameters
    ----------
    result : xarray.Dataset
        An attribution result.
    seed : int
        Of the random halves.

    Returns
    -------
    pandas.DataFrame
        With :data:`RELIABILITY_COLUMNS`: ``half_correlation``, the correlation over regions (rest included) of the
        profiles of two random halves of the groups, averaged over halves; ``reliability``, that of the whole, by
        Spearman-Brown; ``map_reliability``, the same over all components. NaN for sets of fewer than three regions.
        Empty where the result keeps no groups.
    """
    if "roi_without_group" not in result:
        return pd.DataFrame(columns=list(RELIABILITY_COLUMNS))
    groups, weights = groups_of(result), fold_weights_of(result)
    if min(len(rows) for rows in groups) < 2:
        return pd.DataFrame(columns=list(RELIABILITY_COLUMNS))
    values = read_values(result["roi_fold"]).astype(np.float64)
    targets = result["target"].values
    whole = read_values(result["map_reliability"]) if "map_reliability" in result else np.full(len(targets), np.nan)
    sets = np.asarray(result["roi_set"].values)
    tables = []
    for name in dict.fromkeys(sets.tolist()):
        inside = np.flatnonzero(sets == name)
        halves = found = np.full(len(targets), np.nan)
        if len(inside) >= 3:
            parts = [rows[:, :, inside] for rows in groups]
            halves, found = split_half_reliability(list(values[:, :, inside]), parts, weights, seed)
        columns = (name, targets, len(inside), sum(map(len, groups)), halves, found, whole)
        tables.append(pd.DataFrame(dict(zip(RELIABILITY_COLUMNS, columns, strict=True))))
    return pd.concat(tables, ignore_index=True)


def seed_table(results: Sequence[xr.Dataset]) -> pd.DataFrame:
    """Return the spread of ROI sums between seeds of one model, beside the error of sampling.

    Parameters
    ----------
    results : sequence of xarray.Dataset
        Results of one method and model, trained with different seeds, on the same samples and ROI sets.

    Returns
    -------
    pandas.DataFrame
        With :data:`SEED_COLUMNS`: ``attribution``, the mean over seeds; ``seed_sd``, the standard deviation of a single
        seed, without the estimator's noise; ``sampling_se``, which more seeds do not bring down, since all of them see
        the same samples; ``estimator_error`` of a single seed; ``total_se`` of the mean, of all three. Empty for fewer
        than two results, or without ROI sums.

    Raises
    ------
    DataError
        If targets or regions differ.
    """
    if len(results) < 2 or any("roi_attribution" not in result for result in results):
        return pd.DataFrame(columns=list(SEED_COLUMNS))
    first = results[0]
    for other in results[1:]:
        for name in ("target", "roi"):
            if other[name].values.tolist() != first[name].values.tolist():
                seen = f"other {name}s in {other.attrs.get('model', '?')}"
                raise DataError(
                    explain("seeds", seen, f"those of {first.attrs.get('model', '?')}", "compare like runs")
                )

    def stacked(name: str) -> Array:
        missing = np.full(first["roi_attribution"].shape, np.nan)
        return np.stack([read_values(r[name]).astype(np.float64) if name in r else missing for r in results])

    values, noise = stacked("roi_attribution"), np.nan_to_num(stacked("roi_estimator_error"))
    sampling = np.sqrt(np.mean(stacked("roi_standard_error") ** 2, axis=0))
    spread, own = seed_spread(values, noise), np.sqrt(np.mean(noise**2, axis=0))
    total = np.sqrt(sampling**2 + (spread**2 + own**2) / len(results))
    columns = {"attribution": values.mean(axis=0), "seed_sd": spread, "sampling_se": sampling}
    columns |= {"estimator_error": own, "total_se": total}
    table = pd.DataFrame({key: value.reshape(-1) for key, value in columns.items()})
    for column, variable in (("set", "roi_set"), ("index", "roi_index"), ("roi", "roi_name")):
        table[column] = np.tile(first[variable].values, first.sizes["target"])
    table["target"] = np.repeat(first["target"].values, first.sizes["roi"])
    return table.assign(n_seeds=len(results))[list(SEED_COLUMNS)]
