"""What maps are judged by: names of the yardsticks, which way is better, and the columns of their tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

__all__ = ["COLUMNS", "CURVE_COLUMNS", "RANDOM", "ROI_YARDSTICKS", "YARDSTICKS", "Yardstick", "join_models"]

RANDOM = "random"
"""Name of the method without meaning."""

COLUMNS = ("method", "map", "yardstick", "reference", "better", "value", "se", "n", "gain", "gain_se")
"""Columns of the table of yardsticks."""
CURVE_COLUMNS = ("method", "map", "curve", "reference", "x", "value", "se", "n")
"""Columns of the table of curves."""


@dataclass(frozen=True)
class Yardstick:
    """What is measured.

    Attributes
    ----------
    title : str
        In a line.
    categories, values : {"higher", "lower"}
        Which is better, for classifiers and for values.
    """

    title: str
    categories: Literal["higher", "lower"]
    values: Literal["higher", "lower"]


YARDSTICKS = {
    "deletion": Yardstick("area under the answer as the best parts are taken away", "lower", "higher"),
    "insertion": Yardstick("area under the answer as the best parts are put in", "higher", "lower"),
    "sensitivity_n": Yardstick("correlation of sums over subsets with the change without them", "higher", "higher"),
    "infidelity": Yardstick("error of the changes predicted by sums over parts", "lower", "lower"),
    "score_deletion": Yardstick("area under the score as the dataset's best parts are deleted", "lower", "lower"),
    "randomization": Yardstick("similarity to the map of a model with random weights", "lower", "lower"),
    "heat_ratio": Yardstick("share of the heat that lies in the planted parts", "higher", "higher"),
    "recovery": Yardstick("AUC of the magnitude for the planted parts", "higher", "higher"),
    "remove_retrain": Yardstick("score of models retrained without the best parts", "lower", "lower"),
    "keep_retrain": Yardstick("score of models retrained with nothing but the best parts", "higher", "higher"),
    "roi_rank": Yardstick(
        "rank agreement of ROI shares with the fall of the score without each ROI", "higher", "higher"
    ),
    "roi_area": Yardstick(
        "area between deletion of the smallest and of the largest ROI shares first", "higher", "higher"
    ),
    "baseline_seed": Yardstick("similarity to the map under another seed of all draws", "higher", "higher"),
}
"""Every yardstick by name."""
ROI_YARDSTICKS = ("roi_rank", "roi_area")
"""Those of ROI sums; their reference is the ROI set, a stroke, and what stands in for an ROI."""


def join_models(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put the tables of yardsticks of all models below each other, and the mean over seeds where there are several.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        By folder name of the model, such as ``cnn-seed0``.

    Returns
    -------
    pandas.DataFrame
        With the columns ``model`` and ``seeds`` first: 1 for a model of one seed. In the rows of a name without seed
        the errors are those of the samples, which all seeds share, and of the seeds.
    """
    joined = pd.concat([one.assign(model=model, seeds=1) for model, one in tables.items()], ignore_index=True)
    joined = joined[["model", "seeds", *COLUMNS]]
    names = joined["model"].str.replace(r"-seed\d+$", "", regex=True)
    keys = ["method", "map", "yardstick", "reference", "better"]
    means = []
    for (name, *key), rows in joined.groupby([names, *keys], sort=False):
        if len(rows) < 2 or name in tables:
            continue
        row = {"model": name, "seeds": len(rows), "n": int(rows["n"].min()), **dict(zip(keys, key, strict=True))}
        for value, error in (("value", "se"), ("gain", "gain_se")):
            row[value] = rows[value].mean()
            row[error] = np.sqrt((rows[error] ** 2).mean() + rows[value].var(ddof=1) / len(rows))
        means.append(row)
    return pd.concat([joined, pd.DataFrame(means, columns=joined.columns)], ignore_index=True) if means else joined
