"""The ROI table of an attribution result: signed sums with their errors, intervals and shares of the score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from igc.errors import DataError, explain
from igc.roi.sets import RoiSet, region_sums, region_table
from igc.stats.inference import false_discovery, fisher_interval, t_interval, two_sided
from igc.stats.noise_ceiling import normalized_correlation
from igc.stats.permutation import PermutationTest, max_t, without_noise
from igc.stats.resampling import bootstrap_interval
from igc.store.arrays import read_values
from igc.store.results import closing_total, fold_weights_of, groups_of

__all__ = ["CLOSURE_TOLERANCE", "COLUMNS", "roi_table", "score_interval"]

Array = npt.NDArray[np.float64]

_BLOCK_BYTES = 64 << 20

CLOSURE_TOLERANCE = 1e-6
"""Largest difference between a set's sum and the score, for methods whose maps sum to the score."""

COLUMNS = (
    *("set", "index", "roi", "target", "n_components", "attribution", "se", "estimator_error", "ci_low", "ci_high"),
    *("z", "p", "q", "positive", "negative", "share", "q_by", "z_null", "p_null", "p_fwe"),
    *("null_test", "boot_low", "boot_high", "normalized"),
)
"""Columns of the ROI table."""


def score_interval(result: xr.Dataset, level: float = 0.95) -> tuple[Array, Array]:
    """Return a confidence interval of the score of each target.

    Parameters
    ----------
    result : xarray.Dataset
        An attribution result. Its ``score_standard_error`` (of the jackknife over groups) is used where it has one,
        with t quantiles; else the Fisher transform with the number of samples (``n_fold``), which takes samples as
        independent.
    level : float
        Probability that the interval covers.

    Returns
    -------
    low, high : array (target,)
        NaN where the score is not known.
    """
    score = read_values(result["score"]).astype(np.float64)
    if "score_standard_error" in result:
        error = read_values(result["score_standard_error"]).astype(np.float64)
        return t_interval(score, error, result.attrs.get("degrees_of_freedom"), level)
    return fisher_interval(score, float(np.sum(result["n_fold"].values)) if "n_fold" in result else 0.0, level)


def _labels(result: xr.Dataset, sets: Mapping[str, RoiSet] | None) -> pd.DataFrame:
    """Return what each row of the result's ``roi`` axis is, and refuse ROI sets that the result was not made with."""
    table = None if sets is None else region_table(sets)
    if "roi_attribution" not in result:
        return region_table({}) if table is None else table
    own = pd.DataFrame(
        {key: np.asarray(result[key].values).tolist() for key in ("roi", "roi_set", "roi_name", "roi_index")}
    )
    if table is None:
        return own.assign(n_components=np.nan)
    if own["roi"].tolist() != table["roi"].tolist():
        seen = f"sums over {own['roi'].tolist()[:3]}..., {len(own)} regions"
        allowed = f"{table['roi'].tolist()[:3]}..., {len(table)} regions"
        raise DataError(explain(_name(result), seen, allowed, "run `igc attribute` again with these ROI sets"))
    return table


def _name(result: xr.Dataset) -> str:
    return f"result {result.attrs.get('model', '?')}/{result.attrs.get('method', '?')}"


def _variable(result: xr.Dataset, name: str, shape: tuple[int, ...]) -> Array:
    """Return a variable of the result, or NaN."""
    if name not in result:
        return np.full(shape, np.nan)
    return read_values(result[name]).astype(np.float64)


def _signed_sums(maps: xr.DataArray, sets: Mapping[str, RoiSet]) -> tuple[Array, Array]:
    """Return the sums of positive and of negative components, each (target, roi), reading some targets at a time."""
    step = max(1, _BLOCK_BYTES // (8 * max(1, int(np.prod(maps.shape[1:])))))
    positive = np.zeros((len(maps), sum(len(roi_set.indices) for roi_set in sets.values())))
    negative = np.zeros_like(positive)
    for start in range(0, len(maps), step):
        block = read_values(maps[start : start + step]).astype(np.float64)
        column = 0
        for roi_set in sets.values():
            place = slice(start, start + step), slice(column, column + len(roi_set.indices))
            positive[place] = region_sums(roi_set, np.maximum(block, 0))
            negative[place] = region_sums(roi_set, np.minimum(block, 0))
            column += len(roi_set.indices)
    return positive, negative


def _check_closure(result: xr.Dataset, labels: pd.DataFrame, sums: Array) -> None:
    """Refuse sums that do not add up, set by set, to what the map of the method must sum to."""
    score = closing_total(result)
    if score is None:
        return
    for name in dict.fromkeys(labels["roi_set"]):
        total = sums[:, (labels["roi_set"] == name).to_numpy()].sum(axis=1)
        gap = np.abs(total - score)
        # a target that a model predicts as a constant has neither a score nor a map
        worst = int(np.argmax(np.where(np.isfinite(gap), gap, np.where(np.isnan(score), 0.0, np.inf))))
        if not (gap[worst] <= CLOSURE_TOLERANCE or np.isnan(score[worst])):
            seen = f"set {name!r} summing to {total[worst]:.8g} for target {result['target'].values[worst]!r}"
            remedy = "run `igc attribute` again, and report it if it stays"
            raise DataError(explain(_name(result), seen, f"{score[worst]:.8g}, as the map", remedy))


def _check_map(result: xr.Dataset, sums: Array, positive: Array, negative: Array) -> None:
    """Refuse sums that were made over other regions than those given."""
    gap = np.abs(positive + negative - sums)
    if np.any(gap > CLOSURE_TOLERANCE * np.maximum(1.0, positive - negative)):
        seen = f"ROI sums up to {np.nanmax(gap):.3g} away from the map's"
        raise DataError(explain(_name(result), seen, "sums over the same regions", "run `igc attribute` again"))


def _inference(sums: Array, se: Array, noise: Array, degrees: float | None) -> dict[str, Array]:
    """Return 95 % intervals, z and two-sided p, each (target, roi); NaN without an error."""
    # the sum at hand misses the truth by both errors, which are independent
    both = np.hypot(se, np.nan_to_num(noise))
    both, se = np.where(both > 0, both, np.nan), np.where(se > 0, se, np.nan)
    low, high = t_interval(sums, both, degrees)
    return {"se": se, "ci_low": low, "ci_high": high, "z": sums / both, "p": two_sided(sums / both, degrees)}


def _null_test(result: xr.Dataset, sums: Array, noise: Array, inside: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Test the regions of a set and all targets, as one family, against chance."""
    test, used = _permutation_test(result, sums, noise, inside), "permutation"
    if test is None:
        test, used = _analytic_test(result, sums[:, inside], inside), "analytic"
    named = np.full(test.p.shape, None, dtype=object)
    named[np.isfinite(test.p)] = used
    return {"z_null": test.z, "p_null": test.p, "p_fwe": test.p_family, "null_test": named}


def _permutation_test(
    result: xr.Dataset, sums: Array, noise: Array, inside: npt.NDArray[np.bool_]
) -> PermutationTest | None:
    if "roi_null" not in result:
        return None
    null = read_values(result["roi_null"]).astype(np.float64)[:, :, inside]
    if "roi_null_error" in result:  # else the null is made of the very maps of the sums
        more = np.nan_to_num(_variable(result, "roi_null_error", noise.shape)[:, inside])
        null = without_noise(null, more, np.nan_to_num(noise[:, inside]))
    return max_t(sums[:, inside], null)


def _analytic_test(result: xr.Dataset, sums: Array, inside: npt.NDArray[np.bool_]) -> PermutationTest:
    """Test against the closed form of the spread over all permutations; it knows nothing of families."""
    blank = np.full(sums.shape, np.nan)
    if "roi_null_deviation" not in result:
        return PermutationTest(blank, blank, blank)
    spread = read_values(result["roi_null_deviation"]).astype(np.float64)[:, inside]
    z = np.divide(sums, spread, out=blank.copy(), where=spread > 0)
    return PermutationTest(z, two_sided(z, None), blank)


def _bootstrap(result: xr.Dataset, sums: Array, both: Array) -> dict[str, Array]:
    """Return 95 % bootstrap intervals over the groups, (target, roi); NaN where groups are few or not kept apart."""
    low, high = np.full(sums.shape, np.nan), np.full(sums.shape, np.nan)
    if "roi_without_group" in result:
        without, weights = groups_of(result), fold_weights_of(result)
        low, high = bootstrap_interval(sums, without, weights, both, int(result.attrs.get("seed", 0)))
    return {"boot_low": np.where(both > 0, low, np.nan), "boot_high": np.where(both > 0, high, np.nan)}


def _share(result: xr.Dataset, sums: Array) -> Array:
    """Return sums over the map's total; NaN where that is a score that cannot be told from 0, or nothing fixed."""
    total = closing_total(result)
    if total is None:
        return np.full(sums.shape, np.nan)
    if result.attrs.get("complete"):
        low, high = score_interval(result)
        total = np.where((low > 0) | (high < 0), total, np.nan)
    return np.asarray(sums / total[:, None])


def _normalized(result: xr.Dataset, sums: Array, ceiling: Array | None) -> Array:
    """Return sums over the root of the ceiling, of maps in units of correlation."""
    if ceiling is None or not result.attrs.get("complete"):
        return np.full(sums.shape, np.nan)
    return normalized_correlation(sums, ceiling[:, np.newaxis])


def roi_table(
    result: xr.Dataset, sets: Mapping[str, RoiSet] | None = None, ceiling: Array | None = None
) -> pd.DataFrame:
    """Return the attribution of every region, set and target.

    Parameters
    ----------
    result : xarray.Dataset
        An attribution result. Its ``roi_attribution`` and errors are used where it has them; else the map is summed
        over ``sets``, without errors.
    sets : mapping of str to RoiSet, optional
        The ROI sets the result was made with: they give the sizes, and the sums of positive and negative components.
    ceiling : array (target,), optional
        Noise ceilings in percent of the variance, of measured responses; NaN or 0 where there is none.

    Returns
    -------
    pandas.DataFrame
        A row for each set, target and region, the rest (index 0) last, with :data:`COLUMNS`: the signed sum
        ``attribution``; ``se``, its standard error of sampling; ``estimator_error``; the 95 % interval ``ci_low``
        to ``ci_high`` (of both errors; t quantiles where the result says its ``degrees_of_freedom``); ``z``, the sum
        over both errors; ``p`` (two-sided); ``q`` (Benjamini-Hochberg over the regions and targets of the set); the
        sums of ``positive`` and ``negative`` components, NaN for pooled maps; ``share`` of the score, NaN where that
        may be 0; ``q_by`` (Benjamini-Yekutieli, whatever the dependence); against chance: ``z_null``, in standard
        deviations of the null, ``p_null``, and ``p_fwe``, the family-wise probability over the regions and targets of
        the set (max-T); ``null_test``, by which test: "permutation", or "analytic" (of all permutations of single
        independent samples, in closed form, without ``p_fwe``); ``boot_low`` to ``boot_high``, the 95 % interval of a
        bootstrap of the groups (see :func:`igc.stats.resampling.bootstrap_interval`); ``normalized``, the sum over the
        root of the ceiling, for methods whose maps sum to the score. What is not known is NaN.

    Raises
    ------
    DataError
        If a complete method's set does not sum to the score, or the result was made with other ROI sets.
    """
    labels = _labels(result, sets)
    targets = np.asarray(result["target"].values)
    shape = (len(targets), len(labels))
    positive = negative = np.full(shape, np.nan)
    # a pooled map no longer knows which part of a cell lies in which region; the sums were made before
    whole = not (result.attrs.get("pooled") and "roi_attribution" in result)
    if sets is not None and "attribution" in result and whole:
        positive, negative = _signed_sums(result["attribution"], sets)
    if "roi_attribution" in result:
        sums = _variable(result, "roi_attribution", shape)
        _check_map(result, sums, positive, negative)
    else:
        sums = positive + negative
    _check_closure(result, labels, sums)
    noise = _variable(result, "roi_estimator_error", shape)
    error = _variable(result, "roi_standard_error", shape)
    values = _inference(sums, error, noise, result.attrs.get("degrees_of_freedom"))
    values |= {"attribution": sums, "positive": positive, "negative": negative, "share": _share(result, sums)}
    values["estimator_error"] = noise
    values["normalized"] = _normalized(result, sums, ceiling)
    values |= _bootstrap(result, sums, np.hypot(error, np.nan_to_num(noise)))
    blocks = []
    for name in dict.fromkeys(labels["roi_set"]):
        inside = (labels["roi_set"] == name).to_numpy()
        own = {key: value[:, inside] for key, value in values.items()}
        own |= {"q": false_discovery(own["p"]), "q_by": false_discovery(own["p"], "by")}
        own |= _null_test(result, sums, noise, inside)
        blocks.append(_block(labels[inside], targets, own))
    return pd.concat(blocks, ignore_index=True) if blocks else pd.DataFrame(columns=list(COLUMNS))


def _block(labels: pd.DataFrame, targets: npt.NDArray[Any], values: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows of one set: target by target, region by region."""
    n = len(targets)
    columns = {
        "set": np.tile(labels["roi_set"].to_numpy(), n),
        "index": np.tile(labels["roi_index"].to_numpy(), n),
        "roi": np.tile(labels["roi_name"].to_numpy(), n),
        "target": np.repeat(targets, len(labels)),
        "n_components": np.tile(labels["n_components"].to_numpy(), n),
    }
    return pd.DataFrame({**columns, **{key: value.reshape(-1) for key, value in values.items()}})[list(COLUMNS)]
