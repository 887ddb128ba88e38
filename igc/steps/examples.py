"""The maps of single samples that a stored result keeps beside its map of the dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from igc.attribution.examples import choose_examples, example_maps, explained_targets, sample_method
from igc.attribution.problem import Problem
from igc.attribution.protocols import Options
from igc.attribution.registry import build
from igc.attribution.scores import Scores
from igc.config import MethodSettings
from igc.roi.sets import RoiSet
from igc.steps.nulls import NullSettings
from igc.steps.read_ahead import ReadAhead
from igc.steps.sources import StoreSource
from igc.steps.spaces import with_features
from igc.store.arrays import read_values

__all__ = ["DEFAULT_EXAMPLES", "Examples", "explain_examples", "options_of"]

DEFAULT_EXAMPLES = 8
"""Examples of a method whose settings name no number."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """Held-out samples of a store to be explained one by one; the same for every method and model.

    Attributes
    ----------
    rows : array of int (example,)
        Positions in the store.
    targets : array of int (example,)
        Index of the explained output.
    folds, ids : array of int (example,)
        Fold that holds the sample out, and its position in the source of the data.
    """

    rows: Rows
    targets: Rows
    folds: Rows
    ids: Rows

    @classmethod
    def of(cls, dataset: xr.Dataset, count: int | None) -> Examples:
        """Choose examples of opened samples over all folds; None: the default number."""
        fold = dataset["fold"].values.astype(np.int64)
        held = np.flatnonzero(fold >= 0)
        held = held[np.argsort(fold[held], kind="stable")]
        categories = dataset.attrs.get("target_type") == "categories"
        # values choose nothing, and may be many
        responses = (
            read_values(dataset["responses"]) if categories else np.broadcast_to(0.0, dataset["responses"].shape)
        )
        rows = held[choose_examples(responses[held], categories, DEFAULT_EXAMPLES if count is None else count)]
        targets = explained_targets(responses[rows], categories)
        return cls(rows, targets, fold[rows], dataset["sample_id"].values[rows].astype(np.int64))

    def fewer(self, limit: int | None) -> Examples:
        """Return as many as a costly method explains samples of all folds, evenly spread; None: all."""
        most = len(self.rows) if limit is None else limit * len(np.unique(self.folds))
        if most >= len(self.rows):
            return self
        kept = np.floor((np.arange(most) + 0.5) * len(self.rows) / most).astype(np.int64)
        return Examples(self.rows[kept], self.targets[kept], self.folds[kept], self.ids[kept])

    def label(self, result: xr.Dataset, maps: Sequence[npt.NDArray[np.float64] | None]) -> xr.Dataset:
        """Add the maps of all folds to a result as ``example_attribution``; folds without maps leave it as it is."""
        found = [part for part in maps if part is not None]
        if len(found) < len(maps) or not len(self.rows):
            return result
        dims = result["attribution"].dims[1:]
        shape = (-1, *(result.sizes[dim] for dim in dims))
        values = np.concatenate(found).astype(np.float32).reshape(shape)
        coordinates = {"example": self.ids, "example_target": ("example", self.targets)}
        coordinates |= {"example_row": ("example", self.rows), "example_fold": ("example", self.folds)}
        return result.assign(example_attribution=(("example", *dims), values)).assign_coords(coordinates)


@dataclass(frozen=True)
class _Joined:
    """Samples with further ones behind them, which count for nothing but can be read by their numbers."""

    source: StoreSource
    n_samples: int

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        return self.source.input_shapes

    def read(self, rows: Rows) -> tuple[tuple[npt.NDArray[Any], ...], npt.NDArray[Any]]:
        return self.source.read(rows)

    def read_responses(self, rows: Rows) -> npt.NDArray[Any]:
        return self.source.read_responses(rows)


def options_of(settings: MethodSettings, sets: Mapping[str, RoiSet]) -> Options:
    """Return the options of a method as its settings give them, without those of the null."""
    extra = with_features(NullSettings.split(settings.options)[1], sets)
    return Options(settings.baselines, settings.points, settings.tolerance, settings.summary, extra)


def explain_examples(
    examples: Examples,
    problem: Problem,
    scores: Scores,
    settings: MethodSettings,
    sets: Mapping[str, RoiSet],
    fold: int,
) -> npt.NDArray[np.float64] | None:
    """Explain the examples of one fold.

    Parameters
    ----------
    examples : Examples
    problem : Problem
        Of the fold, with a source of a store.
    scores : Scores
        Of its samples.
    settings, sets
        The method.
    fold : int

    Returns
    -------
    array (example, component), optional
        None where the method explains no single samples.
    """
    here = np.flatnonzero(examples.folds == fold)
    source = problem.source.source if isinstance(problem.source, ReadAhead) else problem.source
    if not isinstance(source, StoreSource):
        return None
    problem = replace(problem, source=source)
    numbers = {int(row): i for i, row in enumerate(source.rows)}
    rows = examples.rows[here]
    if all(int(row) in numbers for row in rows):
        places = np.array([numbers[int(row)] for row in rows], dtype=np.int64)
    else:  # only some samples of the fold are explained: the examples, which all methods share, come on top
        places = source.n_samples + np.arange(len(rows))
        joined = StoreSource(source.path, np.concatenate([source.rows, rows]))
        problem = replace(problem, source=_Joined(joined, source.n_samples))
    method = sample_method(build(settings.method or "igc", problem, scores, options_of(settings, sets)))
    return None if method is None else example_maps(method, problem, places, examples.targets[here])
