"""The methods of this system, for the registry."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from igc.attribution.baselines import shared_baselines
from igc.attribution.drawn import MAX_REPLICATES, BaselinePool, DrawnSummary
from igc.attribution.problem import Problem
from igc.attribution.protocols import DatasetAttribution, Method, Options
from igc.attribution.scores import Scores
from igc.attribution.standard.baseline_shapley import feature_labels
from igc.attribution.summary import SampleSummary
from igc.attribution.taylor.correlation_parts import TaylorCorrelation
from igc.attribution.taylor.guided import SegmentedTaylor, UnbiasedGradients, choose_segments
from igc.errors import MethodError, explain

__all__ = ["METHODS"]

DRAWS = 16
DRAWN_BASELINES = 8
NODES = 8
"""Nodes of each path from a shared baseline: exact for polynomials up to order 16."""
MATRIX_REGIONS = 16
"""Largest number of regions between which interactions are formed without being asked for."""


def _region_names(choice: Any, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.generic]:
    """Return the labels as given, or numbers from 0."""
    n = int(labels.max()) + 1
    if choice is None or isinstance(choice, (int, tuple, list)):
        return np.arange(n)
    return np.unique(np.asarray(choice))


def _taylor_igc(problem: Problem, scores: Scores, options: Options, alone: bool = False) -> DatasetAttribution:
    choice = options.extra.get("features")
    labels = feature_labels(choice, problem.source.input_shapes)
    matrix = options.extra.get("matrix", int(labels.max()) < MATRIX_REGIONS)
    if not isinstance(matrix, bool):
        raise MethodError(explain("matrix", repr(matrix), "true or false", "choose one of them"))
    drawn = options.baselines is None or (isinstance(options.baselines, str) and options.baselines == "data")
    draws = (DRAWS if drawn else NODES) if options.points is None else max(1, round(options.points))
    return TaylorCorrelation(problem, scores, options, labels, _region_names(choice, labels), draws, matrix, alone)


def _interaction_aware(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    return _taylor_igc(problem, scores, options, alone=True)


def _segmented(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    choice = options.baselines
    if choice is None or (isinstance(choice, str) and choice == "data"):
        choice = min(DRAWN_BASELINES, problem.n_samples)
    baselines = shared_baselines(choice, problem, scores)
    method = SegmentedTaylor(baselines, choose_segments(problem, baselines, options.points))
    return SampleSummary(problem, scores, method, options.summary or "mean")


def _unbiased(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    pool = BaselinePool.of(options.baselines, problem, scores)
    draws = DRAWS if options.points is None else max(1, round(options.points))
    method = UnbiasedGradients(pool, problem, min(draws, MAX_REPLICATES))
    return DrawnSummary(problem, scores, options, method, options.summary or "mean_absolute")


METHODS = (
    Method(
        "taylor_igc",
        _taylor_igc,
        "IGC in three parts: of first order, of each region alone, and of regions together; with their interactions",
        needs="gradient",
        closes_to="score",
        signed=True,
        source="arXiv 2008.09695, arXiv 2404.13910",
        options=("features", "matrix"),
    ),
    Method(
        "interaction_aware",
        _interaction_aware,
        "the parts of IGC that each region has alone; what regions do together stands beside the map",
        needs="gradient",
        closes_to=None,
        signed=True,
        source="arXiv 2008.09695, arXiv 2404.13910",
        options=("features", "matrix"),
    ),
    Method(
        "segmented_taylor",
        _segmented,
        "first-order terms around the middle of each segment of the path, mean over samples",
        needs="gradient",
        closes_to=None,
        signed=True,
        source="arXiv 2008.09695",
    ),
    Method(
        "unbiased_gradients",
        _unbiased,
        "Expected Gradients with a linear control variate: no input hidden by its baseline; mean absolute value",
        needs="gradient",
        closes_to=None,
        signed=True,
        source="arXiv 2008.09695, arXiv 1906.10670",
    ),
)
"""What the registry holds of this system."""
