"""The regions of a network beside what they explain in a linear model."""

from __future__ import annotations

import pandas as pd

__all__ = ["COLUMNS", "PARTITION_COLUMNS", "beside_partition"]

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

COLUMNS = (*_SHARED, *(name for name in PARTITION_COLUMNS if name not in _SHARED))
"""Columns of :func:`beside_partition`."""


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
        ``shared`` are shares of the variance of the response.
    """
    tables = [table.assign(linear_model=model) for model, table in partitions.items()]
    if not tables or deep_linear.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    known = pd.concat(tables, ignore_index=True).drop(columns="roi")
    left = deep_linear.assign(target=deep_linear["target"].astype(str))
    joined = left.merge(known.assign(target=known["target"].astype(str)), on=["linear_model", *_KEYS], how="inner")
    return joined[list(COLUMNS)]
