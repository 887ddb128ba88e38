"""All yardsticks on all methods of a model, as one tidy table, with a ranking without meaning as the floor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from igc.comparison.additivity import infidelity, sensitivity_n, subset_sizes
from igc.comparison.criteria import COLUMNS, CURVE_COLUMNS, RANDOM, YARDSTICKS
from igc.comparison.heat import effective_heat_ratio
from igc.comparison.judged import Array, Judged, Mask, Prepare, Rows, random_maps, ranks
from igc.comparison.perturbation import area, kept_fractions, perturbation_curves, score_areas, score_curves
from igc.comparison.recovery import recovery
from igc.comparison.retraining import SHARES, Fit, Retraining, dataset_ranking, retrained_scores
from igc.config import Yardsticks
from igc.seeding import generator
from igc.stats.correlation import jackknife_error

__all__ = [
    "DatasetMaps",
    "Table",
    "judge_retraining",
    "judge_samples",
    "judge_scores",
    "judge_truth",
]


FLOOR = 8
"""Random rankings of the whole dataset, over all targets."""


class Table:
    """Collects rows of yardsticks and of curves.

    Parameters
    ----------
    kinds : mapping of str to str
        Of each method, whether its maps are those of the "sample" or of the "dataset".
    categories : bool
        Whether a classifier is explained.
    """

    def __init__(self, kinds: Mapping[str, str], categories: bool) -> None:
        self.kinds = dict(kinds)
        self.categories = categories
        self.rows: list[dict[str, Any]] = []
        self.points: list[dict[str, Any]] = []

    def add(self, yardstick: str, reference: str, values: Mapping[str, Array], kind: str = "") -> None:
        """Add a yardstick by its values of each method, (sample or seed,), NaN where not defined."""
        means = {method: _mean(one) for method, one in values.items()}
        floor = values.get(RANDOM)
        gains = {m: _mean(one - floor) if floor is not None else (np.nan, np.nan, 0) for m, one in values.items()}
        for method, (value, error, n) in means.items():
            self.row(yardstick, reference, method, (value, error, n), gains[method][:2], kind)

    def row(
        self,
        yardstick: str,
        reference: str,
        method: str,
        mean: tuple[float, float, int],
        gain: tuple[float, float],
        kind: str = "",
    ) -> None:
        """Add a row of a method: value, error and number; difference to the random ranking, positive for better."""
        stick = YARDSTICKS[yardstick]
        better = stick.categories if self.categories else stick.values
        sign = 1.0 if better == "higher" else -1.0
        values = (method, kind or self.kinds.get(method, "sample"), yardstick, reference, better, *mean)
        random = method == RANDOM
        row = dict(zip(COLUMNS, (*values, np.nan, np.nan), strict=True))
        if not random:
            row |= {"gain": sign * gain[0], "gain_se": gain[1]}
        self.rows.append(row)

    def curve(
        self, name: str, reference: str, method: str, x: Array, values: Array, errors: Array, n: int, kind: str = ""
    ) -> None:
        """Add the points of a curve."""
        for point in zip(x, values, errors, strict=True):
            start = (method, kind or self.kinds.get(method, "sample"), name, reference)
            self.points.append(dict(zip(CURVE_COLUMNS, (*start, *map(float, point), n), strict=True)))

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the table of yardsticks and that of curves."""
        return pd.DataFrame(self.rows, columns=list(COLUMNS)), pd.DataFrame(self.points, columns=list(CURVE_COLUMNS))


def _mean(values: Array) -> tuple[float, float, int]:
    """Return mean, standard error and number of the values that are defined."""
    known = values[~np.isnan(values)]
    n = len(known)
    if not n:
        return float("nan"), float("nan"), 0
    return float(known.mean()), float(known.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan"), n


def _means(curves: Array) -> tuple[Array, Array]:
    """Return mean and standard error of curves (sample, point) over samples."""
    pairs = [_mean(column)[:2] for column in curves.T]
    return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])


def judge_samples(
    maps: Mapping[str, Array],
    judged: Judged,
    references: Mapping[str, Prepare],
    settings: Yardsticks,
    seed: int,
    table: Table,
) -> None:
    """Judge maps of samples by what the model answers when parts are taken away.

    Parameters
    ----------
    maps : mapping of str to array (sample, unit)
        By method; NaN for a sample without a map, which then does not count. In the curves of a classifier the largest
        values of a sample's map come first, else the largest magnitudes.
    judged : Judged
        Samples and model.
    references : mapping of str to Prepare
        What stands in for parts that are taken away, by name. Sensitivity-N and infidelity use the first two.
    settings, seed
        How many steps and subsets, and seed of all draws.
    table : Table
        Takes the rows: ``deletion``, ``insertion``, ``sensitivity_n`` and ``infidelity``.
    """
    every = {**maps, RANDOM: random_maps(judged.numbers, judged.n_units, seed)}
    missing = {name: np.isnan(values).all(axis=1) for name, values in every.items()}
    every = {name: np.nan_to_num(values) for name, values in every.items()}
    # evidence for the class ranks first; of values, and of maps that know no sample, whatever has the largest effect
    evidence = {name: judged.categories and table.kinds.get(name, "sample") == "sample" for name in every}
    order = {name: values if evidence[name] else np.abs(values) for name, values in every.items()}
    rank = {name: ranks(values, judged.numbers, seed) for name, values in order.items()}
    fractions = kept_fractions(settings.steps)
    for reference, prepare in references.items():
        for name, insertion in (("deletion", False), ("insertion", True)):
            areas = {}
            for method in every:
                curves = perturbation_curves(judged, rank[method], prepare, fractions, insertion)
                curves[missing[method]] = np.nan
                areas[method] = area(curves, fractions)
                table.curve(name, reference, method, fractions, *_means(curves), int((~missing[method]).sum()))
            table.add(name, reference, areas)
    sizes = subset_sizes(judged.n_units)
    for reference, prepare in list(references.items())[:2]:
        draws = max(3, settings.subsets // len(sizes))
        found = sensitivity_n(every, judged, prepare, sizes, draws, seed)
        for method, values in found.items():
            values[missing[method]] = np.nan
            shares = np.array(sizes) / judged.n_units
            table.curve("sensitivity_n", reference, method, shares, *_means(values), len(values))
        table.add("sensitivity_n", reference, {m: _row_means(values) for m, values in found.items()})
        errors = infidelity(every, judged, prepare, settings.subsets, seed)
        table.add("infidelity", reference, {m: np.where(missing[m], np.nan, one) for m, one in errors.items()})


def _row_means(values: Array) -> Array:
    """Return the mean of the defined values of each row; NaN for rows without any."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    empty = np.full(len(values), np.nan)
    return np.asarray(np.divide(total, known.sum(axis=1), out=empty, where=known.any(axis=1)))


@dataclass(frozen=True)
class DatasetMaps:
    """Maps of the dataset and the samples on which they are scored.

    Attributes
    ----------
    maps : mapping of str to array (target, unit)
        By method.
    judged : Judged
        Samples and model; which targets they explain does not matter.
    responses : array (sample, target)
    folds : array of int (sample,)
    targets : sequence of int
        The targets that are scored.
    """

    maps: Mapping[str, Array]
    judged: Judged
    responses: Array
    folds: Rows
    targets: Sequence[int]


def judge_scores(
    data: DatasetMaps, references: Mapping[str, Prepare], settings: Yardsticks, seed: int, table: Table
) -> None:
    """Judge maps of the dataset by how fast the model's score falls as their best parts are deleted from all samples.

    Parameters
    ----------
    data : DatasetMaps
        Maps and samples.
    references, settings, seed, table
        As for :func:`judge_samples`; the row is ``score_deletion``, the mean over targets.
    """
    fractions = kept_fractions(max(2, settings.steps // 2))
    for reference, prepare in references.items():
        curves = {}
        for method in (*data.maps, RANDOM):
            found = [_target_curves(data, method, k, prepare, fractions, seed) for k in data.targets]
            curves[method] = np.mean(found, axis=0)
        for method, found in curves.items():
            errors, n = jackknife_error(found[1:]), len(data.folds)
            table.curve("score_deletion", reference, method, fractions, found[0], errors, n, "dataset")
            value = score_areas(found, fractions)
            gain = score_areas(found - curves[RANDOM], fractions)
            table.row("score_deletion", reference, method, (*value, n), gain, "dataset")


def _target_curves(data: DatasetMaps, method: str, k: int, prepare: Prepare, fractions: Array, seed: int) -> Array:
    """Return the score curve of one target, and without each block, (1 + block, step)."""
    numbers = np.array([k])
    if method == RANDOM:  # one ranking would be a floor as uneven as chance
        numbers = k + len(data.responses[0]) * np.arange(-(-FLOOR // len(data.targets)))
        maps = random_maps(numbers, data.judged.n_units, seed)
    else:
        maps = np.abs(np.nan_to_num(data.maps[method][k : k + 1]))
    explained = np.full(len(data.folds), k)
    judged = replace(data.judged, targets=explained)
    parts = ranks(maps, numbers, seed)
    scored = [score_curves(judged, data.responses[:, k], data.folds, rank, prepare, fractions) for rank in parts]
    return np.asarray(np.mean(scored, axis=0))


def judge_truth(maps: Mapping[str, Array], inside: Mask, numbers: Rows, seed: int, table: Table) -> None:
    """Judge maps of samples by what was planted.

    Parameters
    ----------
    maps : mapping of str to array (sample, unit)
        By method.
    inside : array of bool (sample, unit)
        Where the evidence of the explained target was planted.
    numbers, seed, table
        As for :func:`judge_samples`; the rows are ``heat_ratio`` and ``recovery``.
    """
    every = {**maps, RANDOM: random_maps(numbers, inside.shape[1], seed)}
    measures: dict[str, Callable[[Array, Mask], float]] = {
        "heat_ratio": lambda values, mask: (
            float("nan") if np.isnan(values).all() else effective_heat_ratio(values, mask)
        ),
        "recovery": lambda values, mask: recovery(values, mask.astype(np.float64), False)["auc"],
    }
    for name, measure in measures.items():
        found = {m: np.array([measure(a, b) for a, b in zip(v, inside, strict=True)]) for m, v in every.items()}
        table.add(name, "truth", found)


def judge_retraining(
    maps: Mapping[str, Array], data: Retraining, fit: Fit, seeds: int, seed: int, table: Table
) -> None:
    """Judge maps of the dataset by what models learn without, and with nothing but, their best parts.

    Parameters
    ----------
    maps : mapping of str to array (target, unit)
        By method.
    data : Retraining
        Samples to train and to score on.
    fit : Fit
        Fits a model.
    seeds, seed : int
        Models of each share, and seed of all; the random ranking is another one each time.
    table : Table
        Takes the rows ``remove_retrain`` and ``keep_retrain``, means over :data:`igc.comparison.retraining.SHARES`.
    """
    n_units = next(iter(maps.values())).shape[1]
    for name, keep in (("remove_retrain", False), ("keep_retrain", True)):
        found = {method: np.zeros((seeds, len(SHARES))) for method in (*maps, RANDOM)}
        for (method, scores), s in ((item, s) for item in found.items() for s in range(seeds)):
            if method == RANDOM:
                rank = generator(seed, "random ranking", s).permutation(n_units)
            else:
                rank = dataset_ranking(maps[method], seed)
            scores[s] = [retrained_scores(data, rank, share, keep, fit, seed + s) for share in SHARES]
        for method, scores in found.items():
            table.curve(name, "mean", method, np.array(SHARES), *_means(scores), seeds, "dataset")
        table.add(name, "mean", {m: scores.mean(axis=1) for m, scores in found.items()}, "dataset")
