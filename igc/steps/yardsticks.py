"""Judge all maps of a model by what the model does when parts of its input are taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from igc.comparison.judged import constant_reference
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
from igc.errors import MethodError, explain
from igc.roi.sets import RoiSet, open_rois
from igc.steps.examples import Examples
from igc.steps.judging import JudgedStudy, open_study, planted_parts
from igc.steps.progress import Reporter
from igc.steps.randomized import DatasetAgain, RandomizedMaps, judge_draws, judge_randomization
from igc.steps.references import references_of
from igc.steps.regions import judge_deletion, judge_sizes, region_references
from igc.store.atomic import write_table
from igc.store.outputs import check_folder

__all__ = ["judge_models"]

MOST_TARGETS = 10
"""Largest number of targets on which maps of the dataset are scored."""
MOST_AGAIN = 64
"""Largest number of samples on which maps of the dataset are made again."""
MOST_TESTED = 1000
"""Largest number of samples on which a retrained model is scored."""


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
    studies = [open_study(samples, model, attributions, settings, seed, device) for model in models]
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


def _judge(study: JudgedStudy, samples: Path, sets: Mapping[str, RoiSet], advance: Any) -> Table:
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
        judge_truth(*planted_parts(study, maps), examples.rows, study.seed, table)
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


def _again(study: JudgedStudy, samples: Path, examples: Examples) -> DatasetAgain:
    """Return what makes maps of the dataset again, on some samples of the first fold."""
    fold = int(examples.folds[0])
    rows = study.spread_rows(np.flatnonzero(study.fold == fold), MOST_AGAIN)
    return DatasetAgain(samples, rows, study.model.module(fold), study.model.device, study.seed)


def _few(examples: Examples, count: int) -> Examples:
    """Choose a few examples of the first fold, evenly spread."""
    inside = np.flatnonzero(examples.folds == examples.folds[0])
    chosen = inside[np.linspace(0, len(inside) - 1, min(count, len(inside))).round().astype(np.int64)]
    return Examples(*(part[chosen] for part in (examples.rows, examples.targets, examples.folds, examples.ids)))


def _retrain(study: JudgedStudy, table: Table) -> None:
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
