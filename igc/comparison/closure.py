"""Whether maps and ROI sets add up to the score, and what the maps cost."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from igc.store.arrays import read_values
from igc.store.results import closing_total

__all__ = ["CLOSED", "ERRORS_ALLOWED", "SHARED_GAP", "closure_table", "roi_gap", "runtime_row"]

Array = npt.NDArray[np.float64]

CLOSED = 1e-6
"""Largest difference allowed between the score and the sum of a finished map or ROI set."""

ERRORS_ALLOWED = 4.0
"""Largest gap before closure, in standard errors of the estimator, with data baselines."""

SHARED_GAP = 1e-3
"""Largest gap before closure with shared baselines, whose estimator is deterministic."""


def _values(result: xr.Dataset, name: str, n: int) -> Array:
    """Return a variable (target,), or NaN."""
    return read_values(result[name]).astype(np.float64) if name in result else np.full(n, np.nan)


def roi_gap(result: xr.Dataset) -> Array:
    """Return the largest difference between an ROI set's sum and the total.

    Parameters
    ----------
    result : xarray.Dataset
        An attribution result. The total is what the method promises, or else the map's own sum.

    Returns
    -------
    array (target,)
        NaN where the result has no ROI sums.
    """
    n = result.sizes["target"]
    if "roi_attribution" not in result:
        return np.full(n, np.nan)
    promised = closing_total(result)
    total = _map_sum(result) if promised is None else promised
    sums = read_values(result["roi_attribution"]).astype(np.float64)
    sets = np.asarray(result["roi_set"].values)
    gaps = [np.abs(sums[:, sets == name].sum(axis=1) - total) for name in dict.fromkeys(sets.tolist())]
    return np.max(gaps, axis=0) if gaps else np.full(n, np.nan)


def _map_sum(result: xr.Dataset) -> Array:
    """Return the sum of each target's map, reading one map at a time."""
    maps = result["attribution"]
    return np.array([float(np.sum(read_values(maps[k]).astype(np.float64))) for k in range(len(maps))])


def closure_table(result: xr.Dataset) -> pd.DataFrame:
    """Return how well the maps of a result sum to the score.

    Parameters
    ----------
    result : xarray.Dataset
        An attribution result.

    Returns
    -------
    pandas.DataFrame
        A row a target: ``target``, ``complete`` (a sum is promised), ``score``, ``map_sum``; ``gap``, the sum of the
        raw map minus the promised sum (the score, or 1), before closure is imposed; ``gap_se``, its standard error;
        ``gap_ratio``; ``closed_gap``, the same difference afterwards; ``roi_gap``, the largest over ROI sets;
        ``passed``. For methods that do not promise a sum, gaps are NaN and ``passed`` is missing.
    """
    n = result.sizes["target"]
    promised = closing_total(result)
    complete, total = promised is not None, np.full(n, np.nan) if promised is None else promised
    score, map_sum = _values(result, "score", n), _map_sum(result)
    gap, error = (_values(result, name, n) for name in ("completeness_error", "completeness_standard_error"))
    # an error of the size of rounding is no yardstick: linear models are exact
    ratio = np.divide(np.abs(gap), error, out=np.full(n, np.nan), where=error > 1e-9)
    closed, regions = map_sum - total, roi_gap(result)
    # a result made with the default of its method names no baselines
    sampled = (error > 0) & (result.attrs.get("baselines") in (None, "data"))
    limit = np.where(sampled, ERRORS_ALLOWED * np.nan_to_num(error) + CLOSED, SHARED_GAP)
    # a target whose prediction is constant has no score, and nothing to sum to it
    undefined = np.isnan(total)
    raw = np.zeros(n) if "completeness_error" not in result else np.abs(gap)
    passed = undefined | ((raw <= limit) & (np.abs(closed) <= CLOSED))
    passed &= undefined | ~(regions > CLOSED)
    blank = np.full(n, np.nan)
    return pd.DataFrame(
        {
            "target": result["target"].values,
            "complete": complete,
            "score": score,
            "map_sum": map_sum,
            "gap": gap if complete else blank,
            "gap_se": error if complete else blank,
            "gap_ratio": ratio if complete else blank,
            "closed_gap": closed if complete else blank,
            "roi_gap": regions,
            "passed": passed.astype(object) if complete else np.full(n, None, dtype=object),
        }
    )


def runtime_row(result: xr.Dataset) -> dict[str, float]:
    """Return what a result cost.

    Parameters
    ----------
    result : xarray.Dataset
        An attribution result.

    Returns
    -------
    dict of str to float
        ``samples``, ``seconds``, ``evaluations`` (gradients or predictions at one point), ``evaluations_per_sample``
        and ``evaluations_per_second``; NaN where the result does not say.
    """
    samples = float(np.sum(result["n_fold"].values)) if "n_fold" in result else float("nan")
    seconds = float(result.attrs.get("seconds") or "nan")
    evaluations = result.attrs.get("evaluations")
    count = float("nan") if evaluations is None else float(evaluations)
    return {
        "samples": samples,
        "seconds": seconds,
        "evaluations": count,
        "evaluations_per_sample": count / samples if samples > 0 else float("nan"),
        "evaluations_per_second": count / seconds if seconds > 0 else float("nan"),
    }
