"""Which methods come out ahead: ranks on every yardstick, their averages, and whether these differ beyond chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from igc.comparison.judged import Array, Mask
from igc.seeding import generator
from igc.stats.ranks import average_ranks

__all__ = [
    "FEWEST_BLOCKS",
    "RANKED",
    "SHOWN",
    "RankTest",
    "Verdict",
    "nemenyi_difference",
    "rank_methods",
    "rank_test",
]

RANKED: Mapping[str, tuple[str, ...]] = {
    "known truth": ("truth_auc", "truth_pearson", "recovery", "heat_ratio"),
    "what the model does": (
        *("deletion", "insertion", "sensitivity_n", "infidelity", "score_deletion", "roi_rank", "roi_area"),
    ),
    "retraining": ("remove_retrain", "keep_retrain"),
    "stability": ("randomization", "map_split_half", "between_seeds", "baseline_seed"),
}
"""Metrics that count, by what they ask."""

SHOWN: Mapping[str, tuple[str, ...]] = {
    "shown, not counted": ("completeness_gap", "seconds", "peak_memory"),
}
"""Metrics that are ranked beside the others and do not count: they do not say how good a map is."""

FEWEST_BLOCKS = 5
"""Smallest number of models (of all studies and seeds) for a test of ranks."""
FEWEST_METHODS = 3
DRAWS = 200
LEVEL = 0.05

Block = tuple[str, str, object]


@dataclass(frozen=True)
class RankTest:
    """Friedman's test, and which methods Nemenyi's test tells from the best.

    Attributes
    ----------
    methods : tuple of str
        Those judged in all blocks.
    n_blocks : int
    p : float
    average : array (method,)
        Average ranks among these methods, from 1.
    difference : float
        Critical difference of average ranks at the level 0.05.
    """

    methods: tuple[str, ...]
    n_blocks: int
    p: float
    average: Array
    difference: float

    @property
    def worse(self) -> frozenset[str]:
        """Methods whose average rank is worse than the best by more than the critical difference; none if p > 0.05."""
        behind = self.average - self.average.min() > self.difference
        return frozenset(np.array(self.methods)[behind].tolist()) if self.p < LEVEL else frozenset()


@dataclass(frozen=True)
class Verdict:
    """Ranks from 0 (best) to 1 (worst of those judged together).

    Attributes
    ----------
    cells : pandas.DataFrame (method, metric)
        Mean rank over references, ROI sets, models and seeds; NaN where not judged. Methods with the best average
        first (those judged by few metrics last), metrics in the order of :data:`RANKED` and then :data:`SHOWN`.
    average, error : array (method,)
        Mean over metrics that count and then over blocks, and its error: over blocks where there are several, else
        from the errors of the values that are ranked.
    n_blocks : array of int (method,)
        Models (of all studies and seeds) in which a method was judged.
    few : array of bool (method,)
        Whether a method was judged by less than half of the metrics that count; these come last.
    between_blocks : bool
        Whether errors are those between blocks.
    test : RankTest, optional
        None with too few blocks or methods.
    """

    cells: pd.DataFrame
    average: Array
    error: Array
    n_blocks: Array
    few: Mask
    between_blocks: bool
    test: RankTest | None


def nemenyi_difference(n_methods: int, n_blocks: int, level: float = LEVEL) -> float:
    """Return the critical difference of average ranks 1 ... k of k methods over blocks (Demsar 2006, section 3.2.2)."""
    from scipy.stats import studentized_range  # slow to import, and pages that only show ranks compute none

    quantile = float(studentized_range.ppf(1 - level, n_methods, np.inf)) / np.sqrt(2)
    return float(quantile * np.sqrt(n_methods * (n_methods + 1) / (6 * n_blocks)))


def rank_test(table: pd.DataFrame) -> RankTest | None:
    """Test whether average ranks differ by more than chance.

    Parameters
    ----------
    table : pandas.DataFrame (block, method)
        Mean ranks, lower is better; NaN where a method was not judged in a block.

    Returns
    -------
    RankTest, optional
        Of the largest part of the table without gaps; None for fewer than three methods or five blocks, with which not
        even the clearest order could be told from chance.
    """
    counts = table.notna().sum().sort_values(ascending=False, kind="stable")
    best: pd.DataFrame | None = None
    for k in range(FEWEST_METHODS, len(counts) + 1):
        part = table[counts.index[:k]].dropna()
        if len(part) >= FEWEST_BLOCKS and (best is None or part.size >= best.size):
            best = part
    if best is None:
        return None
    n, k = best.shape
    ranks = average_ranks(best.to_numpy())
    from scipy.stats import friedmanchisquare

    # tables of ties have no statistic: nothing differs
    p = float(friedmanchisquare(*ranks.T).pvalue) if np.ptp(ranks) > 0 else 1.0
    return RankTest(tuple(map(str, best.columns)), n, p, ranks.mean(axis=0), nemenyi_difference(k, n))


def _group_ranks(values: Array, errors: Array, higher: bool, random: np.random.Generator) -> Array:
    """Rank values as they are, and as they might have come out, (1 + draw, method)."""
    drawn = values + random.normal(size=(DRAWS, len(values))) * np.nan_to_num(errors)
    every = np.concatenate([values[None], drawn])
    ranked = average_ranks(-every if higher else every)
    return np.asarray((ranked - 1) / (len(values) - 1))


def rank_methods(summary: pd.DataFrame, seed: int = 0) -> Verdict | None:
    """Rank all methods on all yardsticks.

    Parameters
    ----------
    summary : pandas.DataFrame
        As :func:`igc.comparison.summary.summary_table` returns it, of one study or several.
    seed : int
        Of the draws behind errors within a model.

    Returns
    -------
    Verdict, optional
        Methods are ranked among those that the same yardstick judged on the same model, where these are three or more.
        None where there is nothing to rank.
    """
    metrics = [name for names in (*RANKED.values(), *SHOWN.values()) for name in names]
    used = summary[summary["metric"].isin(metrics)]
    found: dict[tuple[Block, str, str], list[Array]] = {}
    keys = ["study", "model", "seed", "metric", "roi_set", "reference"]
    for number, (key, rows) in enumerate(used.groupby(keys, sort=True, dropna=False)):
        if len(rows) < FEWEST_METHODS:
            continue
        values, errors = (rows[name].to_numpy(dtype=np.float64) for name in ("value", "se"))
        higher = bool((rows["better"] == "higher").all())
        ranked = _group_ranks(values, errors, higher, generator(seed, "ranks", number))
        block = (str(key[0]), str(key[1]), str(key[2]))
        for method, one in zip(rows["method"], ranked.T, strict=True):
            found.setdefault((block, str(key[3]), str(method)), []).append(one)
    counted = {metric for names in RANKED.values() for metric in names}
    judged = {method for _, metric, method in found if metric in counted}
    found = {key: parts for key, parts in found.items() if key[2] in judged}
    if not found:
        return None
    return _verdict({key: np.mean(parts, axis=0) for key, parts in found.items()}, metrics)


def _verdict(ranks: Mapping[tuple[Block, str, str], Array], metrics: Sequence[str]) -> Verdict:
    """Average over metrics and blocks."""
    rows = [(block, metric, method, one[0]) for (block, metric, method), one in ranks.items()]
    long = pd.DataFrame(rows, columns=["block", "metric", "method", "rank"])
    cells = long.pivot_table(index="method", columns="metric", values="rank", aggfunc="mean")
    by_block: dict[str, dict[Block, list[Array]]] = {}
    counted = {metric for names in RANKED.values() for metric in names}
    for (block, metric, method), one in ranks.items():
        if metric not in counted:
            continue
        by_block.setdefault(method, {}).setdefault(block, []).append(one)
    means = {m: {b: np.mean(parts, axis=0) for b, parts in blocks.items()} for m, blocks in by_block.items()}
    blocks = {block for found in means.values() for block in found}
    average = {method: float(np.mean([one[0] for one in found.values()])) for method, found in means.items()}
    between = len(blocks) > 1
    errors = {method: _error(list(found.values()), between) for method, found in means.items()}
    present = [name for name in cells if name in counted]
    judged_by = cells[present].notna().sum(axis=1)
    few = {method: bool(2 * judged_by[method] < len(present)) for method in average}
    order = sorted(average, key=lambda method: (few[method], average[method], method))
    table = pd.DataFrame({method: pd.Series({str(b): one[0] for b, one in means[method].items()}) for method in order})
    return Verdict(
        cells.reindex(index=order, columns=[name for name in metrics if name in cells]),
        np.array([average[method] for method in order]),
        np.array([errors[method] for method in order]),
        np.array([len(means[method]) for method in order], dtype=np.float64),
        np.array([few[method] for method in order]),
        between,
        rank_test(table),
    )


def _error(blocks: Sequence[Array], between: bool) -> float:
    """Return the standard error of a mean over blocks, or the spread of its draws where there is one block only."""
    if between:
        values = np.array([one[0] for one in blocks])
        return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
    return float(np.mean(blocks, axis=0)[1:].std(ddof=1))
