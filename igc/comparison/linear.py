"""Networks against linear models, region by region, on the scale of the score."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from scipy import stats

from igc.store.arrays import read_values

__all__ = ["COLUMNS", "deep_against_linear"]

COLUMNS = (
    *("set", "index", "roi", "target", "network", "network_se", "linear", "linear_se"),
    *("difference", "difference_se", "z", "p", "network_score", "linear_score"),
)
"""Columns of the table of :func:`deep_against_linear`."""


def _shared(a: xr.Dataset, b: xr.Dataset, coordinate: str) -> tuple[list[Any], list[int], list[int]]:
    """Return the labels two results have in common, in the first one's order, and their positions in each."""
    first, second = ({label: i for i, label in enumerate(x[coordinate].values.tolist())} for x in (a, b))
    labels = [label for label in first if label in second]
    return labels, [first[label] for label in labels], [second[label] for label in labels]


def _errors(result: xr.Dataset, targets: list[int], rois: list[int]) -> npt.NDArray[np.float64]:
    if "roi_standard_error" not in result:
        return np.full((len(targets), len(rois)), np.nan)
    return read_values(result["roi_standard_error"]).astype(np.float64)[np.ix_(targets, rois)]


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
        A row for each region and target both have, with :data:`COLUMNS`. ``difference_se`` takes the two errors as
        independent. Both models are scored on the same samples, which usually makes their errors go together, so that
        it is too large rather than too small; a paired resampling would be sharper. ``z`` and ``p`` (two-sided,
        normal) rest on it. Empty where either has no ROI sums.
    """
    if "roi_attribution" not in network or "roi_attribution" not in linear:
        return pd.DataFrame(columns=list(COLUMNS))
    target_names, *targets = _shared(network, linear, "target")
    _, *rois = _shared(network, linear, "roi")
    values: dict[str, npt.NDArray[np.float64]] = {}
    for side, (key, result) in enumerate((("network", network), ("linear", linear))):
        sums = read_values(result["roi_attribution"]).astype(np.float64)
        values[key] = sums[np.ix_(targets[side], rois[side])]
        values[f"{key}_se"] = _errors(result, targets[side], rois[side])
        scores = read_values(result["score"]).astype(np.float64)[targets[side]]
        values[f"{key}_score"] = np.repeat(scores[:, np.newaxis], len(rois[side]), axis=1)
    values["difference"] = values["network"] - values["linear"]
    error = np.hypot(values["network_se"], values["linear_se"])
    values["difference_se"] = np.where(error > 0, error, np.nan)
    values["z"] = values["difference"] / values["difference_se"]
    values["p"] = 2 * stats.norm.sf(np.abs(values["z"]))
    table = pd.DataFrame({key: value.reshape(-1) for key, value in values.items()})
    for column, variable in (("set", "roi_set"), ("index", "roi_index"), ("roi", "roi_name")):
        table[column] = np.tile(network[variable].values[rois[0]], len(target_names))
    table["target"] = np.repeat(np.asarray(target_names, dtype=object), len(rois[0]))
    return table[list(COLUMNS)]
