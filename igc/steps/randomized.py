"""Explain samples and the dataset again while the weights of the model are randomised, and under other draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
import xarray as xr

from igc.attribution.examples import example_maps, sample_method
from igc.attribution.gradients import Outputs
from igc.attribution.problem import Problem
from igc.attribution.registry import METHODS, build, find_method
from igc.attribution.scores import score_unit
from igc.comparison.judged import Array, Rows
from igc.comparison.randomization import depths, learned_layers, pearson, seed_similarity, similarities
from igc.comparison.yardsticks import Table
from igc.config import MethodSettings
from igc.roi.sets import RoiSet
from igc.steps.examples import Examples, options_of
from igc.steps.execution import open_execution
from igc.steps.progress import Reporter
from igc.steps.sampling import with_sampler
from igc.steps.solving import Run, check_targets, solve
from igc.steps.sources import StoreSource
from igc.store.arrays import read_values

__all__ = ["DatasetAgain", "RandomizedMaps", "judge_draws", "judge_randomization"]

MOST_POINTS = 4.0
"""Points a sample of a map of the dataset that is made again: what it is compared with has the same draws."""


@dataclass(frozen=True)
class RandomizedMaps:
    """What is explained again.

    Attributes
    ----------
    samples : Path
        The samples store.
    examples : Examples
        Samples of one fold.
    others : array of int (sample,)
        Further samples of the fold, in the place of the dataset (for baselines and statistics).
    module : torch.nn.Module
        The model of the fold.
    device : torch.device
    seed : int
    """

    samples: Path
    examples: Examples
    others: Rows
    module: torch.nn.Module
    device: torch.device
    seed: int

    @cached_property
    def source(self) -> StoreSource:
        """The further samples, and the examples behind them."""
        return StoreSource(str(self.samples), np.concatenate([self.others, self.examples.rows]))

    def explain(self, module: torch.nn.Module, settings: MethodSettings, sets: Mapping[str, RoiSet]) -> Array:
        """Return the maps of the examples under a module, (example, component...)."""
        source, rows = self.source, self.source.rows
        dtype = next((p.dtype for p in module.parameters()), torch.float32)
        problem = Problem(Outputs(module, settings.output), source, np.arange(len(rows)) % 2, self.device, dtype)
        problem = replace(problem, seed=self.seed, batch_size=min(settings.batch_size, 64))
        scores = score_unit(problem, True, False, 0)
        settings = with_sampler(settings, self.samples, int(self.examples.folds[0]))
        method = sample_method(build(settings.method or "igc", problem, scores, options_of(settings, sets)))
        if method is None:
            return np.zeros((len(self.examples.rows), *source.input_shapes[0]))
        places = len(self.others) + np.arange(len(self.examples.rows))
        maps = example_maps(method, problem, places, self.examples.targets)
        return maps.reshape(len(maps), *source.input_shapes[0])


@dataclass(frozen=True)
class DatasetAgain:
    """The map of a whole dataset, made again on some of its samples.

    Attributes
    ----------
    samples : Path
        The samples store.
    rows : array of int (sample,)
        Samples of one fold.
    module : torch.nn.Module
        The model of the fold.
    device : torch.device
    seed : int
    """

    samples: Path
    rows: Rows
    module: torch.nn.Module
    device: torch.device
    seed: int

    def explain(self, module: torch.nn.Module, settings: MethodSettings, sets: Mapping[str, RoiSet]) -> Array:
        """Return the map under a module, (target, component...)."""
        source, entry = StoreSource(str(self.samples), self.rows), find_method(settings.method or "igc")
        dtype = next((p.dtype for p in module.parameters()), torch.float32)
        problem = Problem(Outputs(module, settings.output), source, np.arange(len(self.rows)) % 2, self.device, dtype)
        problem = replace(problem, seed=self.seed, batch_size=settings.batch_size)
        options = replace(options_of(settings, sets), tolerance=None)
        if entry.needs == "gradient" and settings.baselines in (None, "data"):
            options = replace(options, points=min(settings.points or MOST_POINTS, MOST_POINTS))
        with open_execution(1, self.device) as execution:
            run = Run(execution, lambda label: None, Reporter(False, ""))
            solved = solve(problem, entry, options, run, check_targets(problem))
        value = np.zeros((0, problem.n_components)) if solved is None else solved[1].estimate.value
        return np.nan_to_num(value).reshape(-1, *source.input_shapes[0])


Again: TypeAlias = RandomizedMaps | DatasetAgain


def _settings(results: Mapping[str, xr.Dataset], of_samples: bool) -> dict[str, MethodSettings]:
    """Return the settings of the results that can be made again: those of single samples, or of whole datasets."""
    known = {name: MethodSettings(**r.attrs["settings"]) for name, r in results.items() if "settings" in r.attrs}
    return {
        name: settings
        for name, settings in known.items()
        if ("example_attribution" in results[name]) == of_samples and (settings.method or "igc") in METHODS
    }


def judge_randomization(
    maps: Again, results: Mapping[str, xr.Dataset], sets: Mapping[str, RoiSet], table: Table
) -> None:
    """Compare maps with those of ever more random models.

    Parameters
    ----------
    maps : RandomizedMaps or DatasetAgain
        What is explained again: single samples by the methods that explain them, or the dataset by all others.
    results : mapping of str to xarray.Dataset
        Results of methods, with their settings. Maps made elsewhere cannot be made again and are left out.
    sets : mapping of str to RoiSet
        That options name.
    table : Table
        Takes the rows ``randomization``: similarity once all layers are random; and, of single samples,
        ``baseline_seed``: similarity of maps of the model as it is under another seed of baselines, noise and draws.
    """
    of_samples = isinstance(maps, RandomizedMaps)
    wanted, kind = _settings(results, of_samples), "" if of_samples else "dataset"
    if not wanted or not learned_layers(maps.module):
        return
    before = {name: maps.explain(maps.module, settings, sets) for name, settings in wanted.items()}
    if of_samples:
        drawn_again = replace(maps, seed=maps.seed + 1)
        again = {name: drawn_again.explain(maps.module, settings, sets) for name, settings in wanted.items()}
        alike = {name: similarities(before[name], again[name])["rank"] for name in wanted}
        table.add("baseline_seed", "rank", alike)
    found: dict[str, dict[str, list[Array]]] = {}
    shares = [0.0]
    for share, module in depths(maps.module, maps.seed):
        shares.append(share)
        for name, settings in wanted.items():
            after = maps.explain(module, settings, sets)
            for measure, values in similarities(before[name], after).items():
                found.setdefault(measure, {}).setdefault(name, []).append(values)
    for measure, by_method in found.items():
        for name, steps in by_method.items():
            values = np.stack([np.ones_like(steps[0]), *steps])
            n = values.shape[1]
            errors = values.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(values), np.nan)
            table.curve("randomization", measure, name, np.array(shares), values.mean(axis=1), errors, n, kind)
        table.add("randomization", measure, {name: steps[-1] for name, steps in by_method.items()}, kind)


def judge_draws(
    results: Mapping[str, xr.Dataset],
    table: Table,
    again: DatasetAgain | None = None,
    sets: Mapping[str, RoiSet] | None = None,
) -> None:
    """Say how alike maps of the dataset would be under another seed.

    Parameters
    ----------
    results : mapping of str to xarray.Dataset
        Results of methods: from the error of the estimator. Those without it are left out.
    table : Table
        Takes the rows ``baseline_seed``.
    again : DatasetAgain, optional
        Makes the maps again for which baselines were drawn once and shared, whose choice the error does not hold.
    sets : mapping of str to RoiSet, optional
        That options name.
    """
    found = {}
    shared = {name for name, result in results.items() if isinstance(result.attrs.get("baselines"), int)}
    for name, result in results.items():
        if "estimator_error" not in result or name in shared:
            continue
        n = result.sizes["target"]
        maps = [read_values(result[part]).astype(np.float64) for part in ("attribution", "estimator_error")]
        values, errors = (one.reshape(n, -1) for one in maps)
        found[name] = np.array([seed_similarity(a, b) for a, b in zip(values, errors, strict=True)])
    if again is not None:
        for name, settings in _settings({name: results[name] for name in shared}, of_samples=False).items():
            pair = [replace(again, seed=again.seed + k).explain(again.module, settings, sets or {}) for k in (0, 1)]
            first, second = (one.reshape(len(one), -1) for one in pair)
            found[name] = np.array([pearson(a, b) for a, b in zip(first, second, strict=True)])
    known = {name: values for name, values in found.items() if not np.isnan(values).all()}
    if known:
        table.add("baseline_seed", "estimator", known, "dataset")
