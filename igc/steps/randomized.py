"""Explain a few samples again while the weights of the model are randomised, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from igc.attribution.examples import example_maps, sample_method
from igc.attribution.gradients import Outputs
from igc.attribution.problem import Problem
from igc.attribution.registry import build
from igc.attribution.scores import score_unit
from igc.comparison.judged import Array, Rows, image_grid, unit_maps
from igc.comparison.randomization import (
    cascade,
    learned_layers,
    rank_similarity,
    seed_similarity,
    structural_similarity,
)
from igc.comparison.yardsticks import Table
from igc.config import MethodSettings
from igc.roi.sets import RoiSet
from igc.steps.examples import Examples, options_of
from igc.steps.sampling import with_sampler
from igc.steps.sources import StoreSource
from igc.store.arrays import read_values

__all__ = ["RandomizedMaps", "judge_draws", "judge_randomization"]

MOST_DEPTHS = 3
WINDOW = 5


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

    def depths(self) -> Iterator[tuple[float, torch.nn.Module]]:
        """Give some depths of the cascade, the deepest always: share of layers randomised, and module."""
        n = len(learned_layers(self.module))
        shown = set(np.linspace(1, n, min(n, MOST_DEPTHS)).round().astype(int).tolist())
        for depth, (_, module) in enumerate(cascade(self.module, self.seed), 1):
            if depth in shown:
                yield depth / n, module


def _similarities(before: Array, after: Array) -> dict[str, Array]:
    """Compare maps (example, component...) by ranks, and images by structure too."""
    shape = before.shape[1:]
    pairs = list(zip(unit_maps(before, shape), unit_maps(after, shape), strict=True))
    found = {"rank": np.array([rank_similarity(a, b) for a, b in pairs])}
    grid = image_grid(shape)
    if grid is not None and min(grid) >= WINDOW:
        structure = [structural_similarity(a.reshape(grid), b.reshape(grid), WINDOW) for a, b in pairs]
        found["ssim"] = np.array(structure)
    return found


def judge_randomization(
    maps: RandomizedMaps, results: Mapping[str, xr.Dataset], sets: Mapping[str, RoiSet], table: Table
) -> None:
    """Compare maps of samples with those of ever more random models; methods of whole datasets are left out.

    Parameters
    ----------
    maps : RandomizedMaps
        What is explained again.
    results : mapping of str to xarray.Dataset
        Results of methods, with their settings.
    sets : mapping of str to RoiSet
        That options name.
    table : Table
        Takes the rows ``randomization``: similarity once all layers are random; and ``baseline_seed``: similarity of
        maps of the model as it is under another seed of baselines, noise and draws.
    """
    wanted = {name: MethodSettings(**r.attrs["settings"]) for name, r in results.items() if "settings" in r.attrs}
    wanted = {name: one for name, one in wanted.items() if "example_attribution" in results[name]}
    if not wanted or not learned_layers(maps.module):
        return
    before = {name: maps.explain(maps.module, settings, sets) for name, settings in wanted.items()}
    drawn_again = replace(maps, seed=maps.seed + 1)
    again = {name: drawn_again.explain(maps.module, settings, sets) for name, settings in wanted.items()}
    alike = {name: _similarities(before[name], again[name])["rank"] for name in wanted}
    table.add("baseline_seed", "rank", alike)
    found: dict[str, dict[str, list[Array]]] = {}
    shares = [0.0]
    for share, module in maps.depths():
        shares.append(share)
        for name, settings in wanted.items():
            after = maps.explain(module, settings, sets)
            for measure, values in _similarities(before[name], after).items():
                found.setdefault(measure, {}).setdefault(name, []).append(values)
    for measure, by_method in found.items():
        for name, steps in by_method.items():
            values = np.stack([np.ones_like(steps[0]), *steps])
            n = values.shape[1]
            errors = values.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(values), np.nan)
            table.curve("randomization", measure, name, np.array(shares), values.mean(axis=1), errors, n)
        table.add("randomization", measure, {name: steps[-1] for name, steps in by_method.items()})


def judge_draws(results: Mapping[str, xr.Dataset], table: Table) -> None:
    """Say how alike maps of the dataset would be under another seed, from the error of their estimator.

    Parameters
    ----------
    results : mapping of str to xarray.Dataset
        Results of methods. Those without an error of the estimator, or with baselines drawn once and shared, whose
        choice this error does not hold, are left out.
    table : Table
        Takes the rows ``baseline_seed``.
    """
    found = {}
    for name, result in results.items():
        if "estimator_error" not in result or isinstance(result.attrs.get("baselines"), int):
            continue
        n = result.sizes["target"]
        maps = [read_values(result[part]).astype(np.float64) for part in ("attribution", "estimator_error")]
        values, errors = (one.reshape(n, -1) for one in maps)
        found[name] = np.array([seed_similarity(a, b) for a, b in zip(values, errors, strict=True)])
    known = {name: values for name, values in found.items() if not np.isnan(values).all()}
    if known:
        table.add("baseline_seed", "estimator", known, "dataset")
