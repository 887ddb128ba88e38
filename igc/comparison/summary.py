"""One tidy table of every number that judges a map: a row a study, model, seed, method, ROI set and metric."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from igc.comparison.criteria import ROI_YARDSTICKS, YARDSTICKS
from igc.errors import DataError, MissingFileError, explain

__all__ = ["METRICS", "SUMMARY_COLUMNS", "read_summary", "split_model", "summary_table"]

SUMMARY_COLUMNS = (
    *("study", "model", "seed", "method", "roi_set", "roi", "target", "metric", "reference", "value", "se", "n"),
    "better",
)
"""Columns of the table; ``roi`` and ``target`` are those of the numbers that are about a single one."""

MOST_TARGETS = 20
"""Largest number of targets with rows of their own for every region; of more, the mean is given."""

METRICS = {
    "truth_auc": "higher",
    "truth_average_precision": "higher",
    "truth_pearson": "higher",
    "truth_mass_inside": "higher",
    "truth_pointing_rank": "lower",
    "truth_relative_error": "lower",
    "completeness_gap": "lower",
    "map_split_half": "higher",
    "roi_split_half": "higher",
    "between_seeds": "higher",
    "roi_between_seeds": "higher",
    "roi_size_share": "none",
    "linear_r2": "none",
    "linear_alone": "none",
    "linear_unique": "none",
    "linear_shared": "none",
    "deep_minus_linear": "none",
    "agreement": "none",
    "roi_agreement": "none",
    "seconds": "lower",
    "evaluations_per_sample": "lower",
    "peak_memory": "lower",
}
"""Metrics beside the yardsticks, with which way is better; of agreement between methods, neither is."""

_KEYS = ["model", "method"]


def split_model(name: str) -> tuple[str, int | None]:
    """Split the folder name of a model, such as ``cnn-seed0``, into its name and its seed."""
    found = re.fullmatch(r"(.*)-seed(\d+)", name)
    return (found[1], int(found[2])) if found else (name, None)


def summary_table(tables: Mapping[str, pd.DataFrame], study: str) -> pd.DataFrame:
    """Put all tables of a comparison into one.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        Tables of :func:`igc.steps.compare.compare` by name; those that are missing or empty are left out. ``memory``
        has the columns ``model``, ``method`` and ``peak_memory`` (MB); ``partition`` those of
        :data:`igc.comparison.partition.PARTITION_COLUMNS` and ``model``.
    study : str
        Its name.

    Returns
    -------
    pandas.DataFrame
        With :data:`SUMMARY_COLUMNS`. ``value`` is a mean over ``n`` samples, targets, ROIs or seeds, ``se`` the
        standard error of that mean (of targets: their spread, since they share the samples). ``reference``: what stands
        in for parts that are taken away, or the method that is compared with. Rows without a value are left out.
    """
    given = {name: table for name, table in tables.items() if len(table)}
    parts = [
        *_truth(given.get("recovery")),
        *_yardsticks(given.get("yardsticks")),
        *_closure(given.get("closure")),
        *_reliability(given.get("reliability")),
        *_pairs(given.get("agreement"), "agreement", "between_seeds", []),
        *_pairs(given.get("roi_agreement"), "roi_agreement", "roi_between_seeds", ["set"]),
        *_sizes(given.get("roi_size")),
        *_partition(given.get("partition")),
        *_difference(given.get("deep_linear")),
        *_costs(given.get("runtime"), given.get("memory")),
    ]
    if not parts:
        return pd.DataFrame(columns=list(SUMMARY_COLUMNS))
    joined = pd.concat(parts, ignore_index=True)
    joined = joined[np.isfinite(joined["value"].astype(np.float64))]
    names = [split_model(str(name)) for name in joined["model"]]
    joined = joined.assign(study=study, model=[name for name, _ in names])
    joined["seed"] = pd.array([seed for _, seed in names], dtype="Int64")
    joined = joined.astype({"value": np.float64, "se": np.float64, "n": np.int64})
    return joined.reindex(columns=list(SUMMARY_COLUMNS)).reset_index(drop=True)


def read_summary(path: Path) -> pd.DataFrame:
    """Read the table of :func:`summary_table` from its file of tab-separated values.

    Raises
    ------
    MissingFileError, DataError
        If there is no such file, or it is another table.
    """
    if not path.is_file():
        raise MissingFileError(explain(path, "no such file", "a summary", "make it with `igc compare`"))
    text = ("study", "model", "method", "roi_set", "roi", "target", "metric", "reference", "better")
    kinds: dict[str, Any] = dict.fromkeys(text, str)
    try:
        table = pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False, dtype=kinds | {"seed": "Int64"})
    except ValueError as error:
        raise DataError(explain(path, f"an unreadable table ({error})", "a summary", "run `igc compare`")) from error
    if tuple(table.columns) != SUMMARY_COLUMNS:
        remedy = "run `igc compare` again"
        raise DataError(explain(path, f"columns {', '.join(table.columns[:5])}", "those of a summary", remedy))
    return table


def _means(table: pd.DataFrame, column: str, metric: str, keys: Sequence[str] = ()) -> pd.DataFrame:
    """Average a column over the rows of each model and method."""
    known = table[table[column].notna()].astype({column: np.float64})
    grouped = known.groupby([*_KEYS, *keys], sort=False)[column]
    found = grouped.agg(value="mean", n="count", spread="std").reset_index()
    found["se"] = found["spread"] / np.sqrt(found["n"])
    renamed = found.drop(columns="spread").rename(columns={"set": "roi_set"})
    return renamed.assign(metric=metric, better=METRICS[metric])


def _truth(table: pd.DataFrame | None) -> list[pd.DataFrame]:
    if table is None:
        return []
    names = [name.removeprefix("truth_") for name in METRICS if name.startswith("truth_")]
    return [_means(table, name, f"truth_{name}") for name in names if name in table]


def _yardsticks(table: pd.DataFrame | None) -> list[pd.DataFrame]:
    if table is None:
        return []
    one = table[(table["seeds"] == 1) & table["yardstick"].isin(list(YARDSTICKS))]
    found = one.rename(columns={"yardstick": "metric"})[[*_KEYS, "metric", "reference", "value", "se", "n", "better"]]
    inside = found["metric"].isin(ROI_YARDSTICKS)
    # of regions the reference names the ROI set before what stands in for its regions
    parts = found["reference"].astype(str).str.rpartition("/")
    found["roi_set"] = parts[0].where(inside)
    found["reference"] = parts[2].where(inside, found["reference"])
    return [found]


def _closure(table: pd.DataFrame | None) -> list[pd.DataFrame]:
    return [] if table is None else [_means(table.assign(gap=table["gap"].abs()), "gap", "completeness_gap")]


def _reliability(table: pd.DataFrame | None) -> list[pd.DataFrame]:
    if table is None:
        return []
    whole = table.drop_duplicates([*_KEYS, "target"])
    return [
        _means(whole, "map_reliability", "map_split_half"),
        _means(table, "reliability", "roi_split_half", ["set"]),
    ]


def _pairs(table: pd.DataFrame | None, metric: str, seeds: str, keys: list[str]) -> list[pd.DataFrame]:
    """Return the agreement of each method with every other one of its model, and of each seed with all others."""
    if table is None:
        return []
    rows = table[table["target"] == "all"]
    ways = [rows, rows.rename(columns=_swapped(rows))]
    both = pd.concat(ways, ignore_index=True).rename(columns={"model_a": "model", "method_a": "method"})
    same = both[both["model"] == both["model_b"]].rename(columns={"method_b": "reference"})
    names = [[split_model(str(name))[0] for name in both[column]] for column in ("model", "model_b")]
    twins = both[(both["method"] == both["method_b"]) & np.equal(*np.array(names, dtype=object))]
    return [
        _means(same, "spearman", metric, ["reference", *keys]).assign(se=np.nan),
        _means(twins, "spearman", seeds, keys),
    ]


def _swapped(rows: pd.DataFrame) -> dict[Any, str]:
    names = [str(name) for name in rows if str(name)[-2:] in ("_a", "_b")]
    return {name: f"{name[:-1]}{'b' if name.endswith('a') else 'a'}" for name in names}


def _sizes(table: pd.DataFrame | None) -> list[pd.DataFrame]:
    if table is None:
        return []
    known = table[table["p"].notna()]
    return [_means(known.assign(beyond=(known["p"] < 0.05).astype(np.float64)), "beyond", "roi_size_share", ["set"])]


def _single(rows: pd.DataFrame, value: str, error: str, metric: str) -> pd.DataFrame:
    """Return a row for each region and target, or for each region where there are many targets."""
    names = ["model", "method", "roi_set", "roi", "reference"]
    found = rows.rename(columns={"set": "roi_set", value: "value", error: "se"})[[*names, "target", "value", "se"]]
    found = found.astype({"value": np.float64, "se": np.float64, "target": str}).assign(n=1)
    if found["target"].nunique() > MOST_TARGETS:
        grouped = found.groupby(names, sort=False, dropna=False)["value"]
        found = grouped.agg(value="mean", n="count", spread="std").reset_index()
        found = found.assign(se=found["spread"] / np.sqrt(found["n"])).drop(columns="spread")
    return found.assign(metric=metric, better=METRICS[metric])


def _partition(table: pd.DataFrame | None) -> list[pd.DataFrame]:
    """Return the shares of the variance of linear models, as a method that gives regions numbers and no map."""
    if table is None:
        return []
    rows = table.assign(method="variance_partition", reference=None)
    return [_single(rows, name, f"{name}_se", f"linear_{name}") for name in ("r2", "alone", "unique", "shared")]


def _difference(table: pd.DataFrame | None) -> list[pd.DataFrame]:
    if table is None:
        return []
    rows = table.assign(reference=table["linear_model"].astype(str) + "/" + table["linear_method"].astype(str))
    return [_single(rows, "difference", "difference_se", "deep_minus_linear")]


def _costs(runtime: pd.DataFrame | None, memory: pd.DataFrame | None) -> list[pd.DataFrame]:
    parts = []
    if runtime is not None:
        parts += [_means(runtime, name, name) for name in ("seconds", "evaluations_per_sample")]
    if memory is not None:
        parts.append(_means(memory, "peak_memory", "peak_memory"))
    return parts
