"""The regions of a network beside what they explain in a linear model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["COLUMNS", "PARTITION_COLUMNS", "READINGS", "beside_partition", "reading_of"]

READINGS = {
    "own": "information of its own",
    "redundant": "redundant: others tell the same",
    "suppressor": "suppressor: it only cleans others",
    "nonlinear": "used in a way that no linear model can: interaction or curvature",
    "harmful": "nothing linear; it lowers the network's score",
    "nothing": "nothing was found",
}
"""What a reader may conclude about a region, by the name in the table."""

_LEAST, _ERRORS = 0.01, 2.0

PARTITION_COLUMNS = (
    *("set", "index", "roi", "target", "r2", "r2_se", "alone", "alone_se", "unique", "unique_se"),
    *("shared", "shared_se", "weight", "pattern"),
)
"""Columns of what the fit of a banded model wrote, so that this step need not import the fitting."""

_KEYS = ["set", "index", "target"]
_SHARED = (
    *("model", "method", "linear_model", "linear_method", "set", "index", "roi", "target", "network", "network_se"),
    *("linear", "linear_se", "difference", "difference_se", "ci_low", "ci_high", "q", "paired"),
)

COLUMNS = (*_SHARED, *(name for name in PARTITION_COLUMNS if name not in _SHARED), "reading")
"""Columns of :func:`beside_partition`."""


def _present(value: float, error: float) -> bool:
    """Say whether a share of the variance is there: above a hundredth, and above two standard errors."""
    return bool(value > max(_LEAST, _ERRORS * float(np.nan_to_num(error))))


def reading_of(row: Mapping[Any, Any]) -> str:
    """Say what a reader may conclude about a region.

    Parameters
    ----------
    row : mapping
        With ``alone``, ``unique``, ``network`` and their errors, and ``difference`` (network minus linear model) with
        its ``q``.

    Returns
    -------
    str
        A name of :data:`READINGS`, or "" where nothing is known. A region that explains something by itself is
        ``own``, or ``redundant`` where the others do not miss it; one that explains nothing by itself and is missed is
        a ``suppressor``; one that does neither, and adds more to the network (q < 0.05), is ``nonlinear``, or
        ``harmful`` where it takes from the network's score.
    """
    if np.isnan(row["alone"]) or np.isnan(row["unique"]):
        return ""
    alone, unique = _present(row["alone"], row["alone_se"]), _present(row["unique"], row["unique_se"])
    if alone:
        return "own" if unique else "redundant"
    if unique:
        return "suppressor"
    if row["difference"] > 0 and row["q"] < 0.05:
        return "nonlinear"
    return "harmful" if _present(-row["network"], row["network_se"]) else "nothing"


def beside_partition(deep_linear: pd.DataFrame, partitions: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Put the shares of the variance of linear models beside the sums of maps over the same regions.

    Parameters
    ----------
    deep_linear : pandas.DataFrame
        Table of :func:`igc.comparison.linear.deep_against_linear` with the columns ``model``, ``method``,
        ``linear_model`` and ``linear_method`` before.
    partitions : dict of str to pandas.DataFrame
        Table of :func:`igc.models.partition.partition_table` of each linear model, by the name of its folder.

    Returns
    -------
    pandas.DataFrame
        :data:`COLUMNS`, a row for each pair of maps, region and target that both tables have. ``network`` and
        ``linear`` sum to the correlation of their model with the response; ``r2``, ``alone``, ``unique`` and
        ``shared`` are shares of the variance of the response; ``reading`` is that of :func:`reading_of`.
    """
    tables = [table.assign(linear_model=model) for model, table in partitions.items()]
    if not tables or deep_linear.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    known = pd.concat(tables, ignore_index=True).drop(columns="roi")
    left = deep_linear.assign(target=deep_linear["target"].astype(str))
    joined = left.merge(known.assign(target=known["target"].astype(str)), on=["linear_model", *_KEYS], how="inner")
    readings = [reading_of(row) for row in joined.to_dict("records")]
    return joined.assign(reading=readings)[list(COLUMNS)]
