"""Judge all maps of a model by what the model does when parts of its input are taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import xarray as xr

from igc.comparison.judged import (
    Array,
    Judged,
    Rows,
    constant_reference,
    unit_maps,
)
from igc.comparison.recovery import support_of
from igc.comparison.retraining import Retraining, linear_fit, network_fit
from igc.comparison.yardsticks import (
    DatasetMaps,
    Table,
    judge_retraining,
    judge_samples,
    judge_scores,
    judge_truth,
)
from igc.config import Yardsticks
from igc.errors import ConfigError, DataError, MethodError, ShapeError, explain
from igc.roi.sets import RoiSet, open_rois
from igc.steps.examples import Examples
from igc.steps.matching import check_match
from igc.steps.progress import Reporter
from igc.steps.randomized import DatasetAgain, RandomizedMaps, judge_draws, judge_randomization
from igc.steps.references import references_of
from igc.steps.regions import judge_deletion, judge_sizes, region_references
from igc.steps.solving import StoredModel, choose_device
from igc.store.arrays import read_values, store_digest, store_path
from igc.store.atomic import write_table
from igc.store.outputs import check_folder
from igc.store.results import open_result
from igc.store.samples import open_samples
from igc.store.weights import read_description

__all__ = ["judge_models"]

BATCH = 512
MOST_TARGETS = 10
"""Largest number of targets on which maps of the dataset are scored."""
MOST_AGAIN = 128
"""Largest number of samples on which maps of the dataset are made again."""
MOST_TESTED = 1000
"""Largest number of samples on which a retrained model is scored."""


@dataclass(frozen=True)
class _Model:
    """A stored model that predicts each sample with the weights of the fold that held it out."""

    path: Path
    folds: int
    device: torch.device

    def module(self, fold: int) -> torch.nn.Module:
        return StoredModel(str(self.path), fold, str(self.device)).module

    def predict(self, inputs: Array, folds: Rows) -> Array:
        """Return raw outputs (sample, target) in float64."""
        outputs: Array | None = None
        for fold in np.unique(folds):
            module, here = self.module(int(fold)), np.flatnonzero(folds == fold)
            dtype = next((p.dtype for p in module.parameters()), torch.float32)
            for first in range(0, len(here), BATCH):
                rows = here[first : first + BATCH]
                with torch.no_grad():
                    batch = torch.as_tensor(np.ascontiguousarray(inputs[rows])).to(self.device, dtype)
                    found = module(batch).double().cpu().numpy()
                if outputs is None:
                    outputs = np.empty((len(inputs), found.shape[1]))
                outputs[rows] = found
        if outputs is None:
            raise DataError(explain("samples", "none", "at least one", "judge more samples"))
        return outputs


@dataclass(frozen=True)
class _Study:
    """Samples, model and results, opened."""

    samples: xr.Dataset
    model: _Model
    results: Mapping[str, xr.Dataset]
    settings: Yardsticks
    seed: int

    @property
    def categories(self) -> bool:
        return bool(self.samples.attrs.get("target_type") == "categories")

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.samples["inputs"].shape[1:])

    @cached_property
    def fold(self) -> Rows:
        return np.asarray(self.samples["fold"].values, dtype=np.int64)

    def inputs(self, rows: Rows) -> Array:
        return np.asarray(read_values(self.samples["inputs"], rows))

    def responses(self, rows: Rows) -> Array:
        return np.asarray(read_values(self.samples["responses"], rows), dtype=np.float64)

    def judged(self, rows: Rows, targets: Rows, spread: Array | None = None) -> Judged:
        folds = self.fold[rows]

        def predict(inputs: Array, origin: Rows) -> Array:
            return self.model.predict(inputs, folds[origin])

        return Judged(self.inputs(rows), targets, predict, self.categories, rows, spread)

    @cached_property
    def examples(self) -> Examples:
        """Samples on which maps are judged; a costly method may have explained only some of them."""
        chosen = Examples.of(self.samples, self.settings.samples)
        for name, result in self.results.items():
            if "example_attribution" in result and not np.isin(chosen.rows, result["example_row"].values).any():
                seen, remedy = f"no map of the samples to be judged in {name}", "attribute again with examples"
                raise DataError(explain("yardsticks", seen, "maps of single samples", remedy))
        return chosen

    @cached_property
    def dataset_maps(self) -> dict[str, Array]:
        """Maps of the dataset, (target, unit)."""
        return {name: unit_maps(read_values(r["attribution"]), self.shape) for name, r in self.results.items()}

    def sample_maps(self) -> tuple[dict[str, Array], dict[str, str]]:
        """Return the map of each judged sample, (sample, unit), NaN where there is none; and whether it is its own."""
        maps, kinds = {}, {}
        for name, result in self.results.items():
            if "example_attribution" in result:
                known = {int(row): i for i, row in enumerate(result["example_row"].values)}
                stored, n = unit_maps(read_values(result["example_attribution"]), self.shape), len(self.examples.rows)
                maps[name], kinds[name] = np.full((n, stored.shape[1]), np.nan), "sample"
                for i, row in enumerate(self.examples.rows):
                    if int(row) in known:
                        maps[name][i] = np.nan_to_num(stored[known[int(row)]])
            else:
                maps[name], kinds[name] = np.nan_to_num(self.dataset_maps[name][self.examples.targets]), "dataset"
        return maps, kinds

    def spread_rows(self, rows: Rows, count: int) -> Rows:
        """Choose so many rows, evenly spread."""
        chosen = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64)
        return rows[chosen]


def _open(
    samples: Path, model: Path, attributions: Sequence[Path], settings: Yardsticks, seed: int, device: str
) -> _Study:
    dataset, description = open_samples(samples), read_description(model)
    check_match(model, samples, dataset, store_digest(samples), "raw")
    results = {}
    for path in attributions:
        folder = store_path(path).absolute()
        if folder.parent.name != model.absolute().name:
            continue
        result = open_result(path)
        if "attribution" not in result or result["attribution"].shape[1:] != dataset["inputs"].shape[1:]:
            seen = "maps of another shape"
            raise ShapeError(explain(path, seen, dataset["inputs"].shape[1:], "judge results of one study"))
        results[folder.stem] = result
    if not results:
        seen = f"none of {model.absolute().name}"
        raise ConfigError(explain("attributions", seen, "at least one result", "name the results to judge"))
    if "random" in results:
        raise ConfigError(explain("attributions", "a result named random", "another name", "rename the method"))
    stored = _Model(model, int(description["folds"]), choose_device(device))
    return _Study(dataset, stored, results, settings, seed)


def judge_models(
    samples: Path,
    models: Sequence[Path],
    attributions: Sequence[Path],
    settings: Yardsticks,
    output: Path,
    rois: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> None:
    """Judge all results of some models; write ``<model>.tsv``, ``-curves.tsv`` and ``-sizes.tsv`` for each.

    Parameters
    ----------
    samples : Path
        The samples store.
    models : sequence of Path
        Model folders.
    attributions : sequence of Path
        Results of these models, ``<model>/<method>.zarr``, with the maps of single samples where a method has them;
        those of other models are left out.
    settings : Yardsticks
        How many samples, steps and draws.
    output : Path
        Folder for the tables.
    rois : Path, optional
        ROI sets that options of methods name.
    seed : int
        Seed of all draws.
    device : str
        As in :func:`igc.attribute`.
    progress : bool
        Whether to show progress.

    Raises
    ------
    ConfigError, DataError, ShapeError, StoreError
        If inputs do not belong together. Nothing is written then.
    """
    check_folder(output)
    sets: Mapping[str, RoiSet] = open_rois(rois) if rois is not None else {}
    studies = [_open(samples, model, attributions, settings, seed, device) for model in models]
    tables: dict[str, pd.DataFrame] = {}
    for study in studies:
        name, table = study.model.path.absolute().name, Table({}, study.categories)
        if settings.samples:
            with Reporter(progress, f"{name} yardsticks") as reporter, reporter.task("yardsticks", 4) as advance:
                table = _judge(study, samples, sets, advance)
        tables[name], tables[f"{name}-curves"] = table.tables()
        sizes = judge_sizes(study.samples, study.results, sets, study.dataset_maps, seed)
        tables[f"{name}-sizes"] = sizes if settings.samples else sizes.iloc[:0]
    for name, rows in tables.items():
        write_table(output / f"{name}.tsv", rows)


def _judge(study: _Study, samples: Path, sets: Mapping[str, RoiSet], advance: Any) -> Table:
    settings, examples = study.settings, study.examples
    maps, kinds = study.sample_maps()
    table = Table(kinds, study.categories)
    held = np.flatnonzero(study.fold >= 0)
    trained = np.flatnonzero(study.fold < 0)
    mean = study.inputs(study.spread_rows(trained if len(trained) else held, MOST_TESTED)).mean(axis=0)
    references = references_of(study.samples, mean, examples.folds, settings.references)
    scored = study.spread_rows(held, max(settings.scored, 2))
    first = study.judged(scored, np.zeros(len(scored), dtype=np.int64))
    spread = first.predict(first.inputs, np.arange(len(scored))).std(axis=0)
    judged = study.judged(examples.rows, examples.targets, spread)
    judge_samples(maps, judged, references, settings, study.seed, table)
    advance(1)
    if settings.scored:
        responses, folds = study.responses(scored), study.fold[scored]
        n_targets = responses.shape[1]
        varied = [k for k in range(n_targets) if any(np.ptp(responses[folds == f, k]) > 0 for f in np.unique(folds))]
        targets = study.spread_rows(np.array(varied, dtype=np.int64), MOST_TARGETS).tolist()
        data = DatasetMaps(study.dataset_maps, first, responses, folds, targets)
        judge_scores(data, {"mean": constant_reference(mean)}, settings, study.seed, table)
        taken = region_references(study.samples, folds, mean, study.seed)
        judge_deletion(first, responses, folds, targets, study.results, sets, taken, study.seed, table)
        judge_draws(study.results, table, _again(study, samples, examples), sets)
    if "truth" in study.samples:
        judge_truth(*_planted(study, maps), examples.rows, study.seed, table)
    advance(1)
    if settings.randomized:
        chosen = _few(examples, settings.randomized)
        fold = int(chosen.folds[0])
        same = study.spread_rows(np.flatnonzero(study.fold == fold), 32)
        randomized = RandomizedMaps(samples, chosen, same, study.model.module(fold), study.model.device, study.seed)
        judge_randomization(randomized, study.results, sets, table)
        judge_randomization(_again(study, samples, examples), study.results, sets, table)
    advance(1)
    if settings.retrained:
        _retrain(study, table)
    advance(1)
    return table


def _again(study: _Study, samples: Path, examples: Examples) -> DatasetAgain:
    """Return what makes maps of the dataset again, on some samples of the first fold."""
    fold = int(examples.folds[0])
    rows = study.spread_rows(np.flatnonzero(study.fold == fold), MOST_AGAIN)
    return DatasetAgain(samples, rows, study.model.module(fold), study.model.device, study.seed)


def _few(examples: Examples, count: int) -> Examples:
    """Choose a few examples of the first fold, evenly spread."""
    inside = np.flatnonzero(examples.folds == examples.folds[0])
    chosen = inside[np.linspace(0, len(inside) - 1, min(count, len(inside))).round().astype(np.int64)]
    return Examples(*(part[chosen] for part in (examples.rows, examples.targets, examples.folds, examples.ids)))


def _planted(study: _Study, maps: Mapping[str, Array]) -> tuple[dict[str, Array], npt.NDArray[np.bool_]]:
    """Return maps and masks of the samples whose target has a planted truth."""
    truth = study.samples["truth"]
    known = [str(name) for name in truth["target"].values] if "target" in truth.coords else []
    names = [str(name) for name in study.samples["target"].values]
    place = {k: known.index(name) if known else k for k, name in enumerate(names) if not known or name in known}
    values = read_values(truth)
    masks = {k: unit_maps(support_of(values[i])[None].astype(np.float64), study.shape)[0] > 0 for k, i in place.items()}
    shown = np.flatnonzero(np.isin(study.examples.targets, list(masks)))
    inside = np.stack([masks[int(k)] for k in study.examples.targets[shown]])
    return {name: one[shown] for name, one in maps.items()}, inside


def _retrain(study: _Study, table: Table) -> None:
    settings = study.settings
    train = study.spread_rows(np.flatnonzero(study.fold != 0), settings.retrained)
    test = study.spread_rows(np.flatnonzero(study.fold == 0), MOST_TESTED)
    if len(train) < 4:
        raise MethodError(explain("retrained", f"{len(train)} training samples", "more", "set it to 0 to skip"))
    rows = np.concatenate([train, test])
    groups = np.asarray(study.samples["group"].values[rows], dtype=np.int64)
    parts = (np.arange(len(train)), len(train) + np.arange(len(test)))
    data = Retraining(study.inputs(rows), study.responses(rows), groups, *parts, study.categories)
    fit = linear_fit() if settings.retrain_model == "linear" else network_fit(study.categories, settings.retrain_epochs)
    judge_retraining(study.dataset_maps, data, fit, settings.retrain_seeds, study.seed, table)
