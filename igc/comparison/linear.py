"""Two models region by region, on the scale of the score: networks against linear models above all."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from igc.stats.inference import false_discovery, paired_error, t_interval, two_sided
from igc.stats.resampling import bootstrap_interval
from igc.store.arrays import read_values
from igc.store.results import fold_weights_of, groups_of

__all__ = ["COLUMNS", "deep_against_linear", "roi_difference", "same_samples"]

COLUMNS = (
    *("set", "index", "roi", "target", "network", "network_se", "linear", "linear_se"),
    *("difference", "difference_se", "ci_low", "ci_high", "z", "p", "paired", "network_score", "linear_score"),
    *("q", "boot_low", "boot_high"),
)
"""Columns of the table of :func:`deep_against_linear`."""

Array = npt.NDArray[np.float64]


def _shared(a: xr.Dataset, b: xr.Dataset, coordinate: str) -> tuple[list[Any], list[int], list[int]]:
    """Return the labels two results have in common, in the first one's order, and their positions in each."""
    first, second = ({label: i for i, label in enumerate(x[coordinate].values.tolist())} for x in (a, b))
    labels = [label for label in first if label in second]
    return labels, [first[label] for label in labels], [second[label] for label in labels]


def _values(result: xr.Dataset, name: str, targets: list[int], rois: list[int]) -> Array:
    if name not in result:
        return np.full((len(targets), len(rois)), np.nan)
    return read_values(result[name]).astype(np.float64)[np.ix_(targets, rois)]


def same_samples(a: xr.Dataset, b: xr.Dataset) -> bool:
    """Return whether two results leave out the same groups of the same samples, so that they can be paired."""
    for name in ("samples_digest", "groups_digest"):
        if a.attrs.get(name) != b.attrs.get(name):
            return False
    both = all("roi_without_group" in result and "groups_digest" in result.attrs for result in (a, b))
    return both and a["roi_without_group"].shape[:2] == b["roi_without_group"].shape[:2]


def _paired(
    a: xr.Dataset, b: xr.Dataset, targets: tuple[list[int], ...], rois: tuple[list[int], ...]
) -> tuple[Array, list[Array]]:
    """Return the error of the difference, from leaving out the same groups in both, and each fold's part without them.

    A fold's part of the difference is weighed, (group, target, roi); the parts of all folds add up.
    """
    parts, noises = [], []
    for result, k, r in zip((a, b), targets, rois, strict=True):
        weights = fold_weights_of(result)[:, k, None]
        parts.append([w * rows[:, k][:, :, r] for w, rows in zip(weights, groups_of(result), strict=True)])
        noises.append(weights * read_values(result["roi_fold_error"]).astype(np.float64)[:, k][:, :, r])
    errors = [
        paired_error(first, second, (noises[0][fold], noises[1][fold]))
        for fold, (first, second) in enumerate(zip(*parts, strict=True))
    ]
    differences = [np.asarray(first - second) for first, second in zip(*parts, strict=True)]
    return np.asarray(np.sqrt(np.sum(np.square(errors), axis=0))), differences


def _bootstrap(difference: Array, without: list[Array], error: Array) -> tuple[Array, Array]:
    """Return 95 % bootstrap intervals, the same groups drawn in both models; NaN where they are not paired."""
    if not without:
        return np.full(difference.shape, np.nan), np.full(difference.shape, np.nan)
    low, high = bootstrap_interval(difference, without, np.ones((len(without), len(difference))), error)
    return np.where(error > 0, low, np.nan), np.where(error > 0, high, np.nan)


def roi_difference(first: xr.Dataset, second: xr.Dataset) -> pd.DataFrame:
    """Compare the ROI sums of two models, or of two methods that sum to the score.

    Parameters
    ----------
    first, second : xarray.Dataset
        Attribution results with the same ROI sets.

    Returns
    -------
    pandas.DataFrame
        A row for each region and target both have: ``set``, ``index``, ``roi``, ``target``, ``first``, ``first_se``,
        ``second``, ``second_se``, ``difference``, ``difference_se``, the 95 % interval ``ci_low`` to ``ci_high``,
        ``z``, two-sided ``p``, ``paired``, ``first_score`` and ``second_score``. Where both were made on the same
        samples with the same groups, ``difference_se`` is of the paired jackknife, which leaves the same group out of
        both, so that what all models find hard or easy in a group cancels (``paired``), and ``boot_low`` to
        ``boot_high`` is the interval of a bootstrap of the groups, the same in both; else the errors are taken as
        independent. ``q`` is the false discovery rate over regions and targets of the set (Benjamini-Hochberg). Empty
        where either has no ROI sums.
    """
    columns = [name.replace("network", "first").replace("linear", "second") for name in COLUMNS]
    if "roi_attribution" not in first or "roi_attribution" not in second:
        return pd.DataFrame(columns=columns)
    target_names, *targets = _shared(first, second, "target")
    _, *rois = _shared(first, second, "roi")
    values: dict[str, Any] = {}
    variance: Any = 0.0
    for side, (key, result) in enumerate((("first", first), ("second", second))):
        values[key] = _values(result, "roi_attribution", targets[side], rois[side])
        values[f"{key}_se"] = _values(result, "roi_standard_error", targets[side], rois[side])
        noise = np.nan_to_num(_values(result, "roi_estimator_error", targets[side], rois[side]))
        variance = variance + values[f"{key}_se"] ** 2 + noise**2
        scores = read_values(result["score"]).astype(np.float64)[targets[side]]
        values[f"{key}_score"] = np.repeat(scores[:, np.newaxis], len(rois[side]), axis=1)
    paired = same_samples(first, second)
    error, without = np.sqrt(variance), list[Array]()
    if paired:
        error, without = _paired(first, second, tuple(targets), tuple(rois))
    degrees = [float(result.attrs.get("degrees_of_freedom", np.inf)) for result in (first, second)]
    least = min(degrees)
    values["difference"] = values["first"] - values["second"]
    values["difference_se"] = np.where(error > 0, error, np.nan)
    values["ci_low"], values["ci_high"] = t_interval(values["difference"], values["difference_se"], least)
    values["z"] = values["difference"] / values["difference_se"]
    values["p"] = two_sided(values["z"], least)
    values["boot_low"], values["boot_high"] = _bootstrap(values["difference"], without, values["difference_se"])
    table = pd.DataFrame({key: value.reshape(-1) for key, value in values.items()})
    for column, variable in (("set", "roi_set"), ("index", "roi_index"), ("roi", "roi_name")):
        table[column] = np.tile(first[variable].values[rois[0]], len(target_names))
    table["target"] = np.repeat(np.asarray(target_names, dtype=object), len(rois[0]))
    table["paired"] = paired
    # the regions and targets of a set are tested together, as in the table of a single model
    table["q"] = table.groupby("set")["p"].transform(lambda p: false_discovery(p.to_numpy()))
    return table[columns]


def deep_against_linear(network: xr.Dataset, linear: xr.Dataset) -> pd.DataFrame:
    """Compare the ROI sums of a network with those of a linear model.

    Both maps sum to their model's correlation with the truth, so that their ROI sums share a scale.

    Parameters
    ----------
    network, linear : xarray.Dataset
        Attribution results of complete methods with the same ROI sets.

    Returns
    -------
    pandas.DataFrame
        A row for each region and target both have, with :data:`COLUMNS`; see :func:`roi_difference`.
    """
    table = roi_difference(network, linear)
    return table.set_axis(list(COLUMNS), axis=1)
