"""The methods of this folder, for the registry."""

from __future__ import annotations

from igc.attribution.baselines import shared_baselines
from igc.attribution.drawn import BaselinePool, DrawnSummary
from igc.attribution.problem import Problem
from igc.attribution.protocols import DatasetAttribution, Method, Options
from igc.attribution.scores import Scores
from igc.attribution.standard.baseline_shapley import BaselineShapley, feature_labels
from igc.attribution.standard.expected_gradients import ExpectedGradients
from igc.attribution.standard.integrated_gradients import GradientTimesInput, IntegratedGradients
from igc.attribution.standard.quadrature import choose_quadrature
from igc.attribution.summary import SampleSummary
from igc.errors import MethodError, explain

__all__ = ["METHODS"]

DRAWN_BASELINES = 8
DRAWS = 16
ORDERS = 16


def _integrated_gradients(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    choice = options.baselines
    if choice is None or (isinstance(choice, str) and choice == "data"):
        choice = min(DRAWN_BASELINES, problem.n_samples)
    baselines = shared_baselines(choice, problem, scores)
    rule = choose_quadrature(problem, baselines, options.points)
    method = IntegratedGradients(baselines, rule, problem.batch_size)
    return SampleSummary(problem, scores, method, options.summary or "mean", complete=True)


def _gradient_x_input(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    return SampleSummary(problem, scores, GradientTimesInput(), options.summary or "mean")


def _expected_gradients(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    pool = BaselinePool.of(options.baselines, problem, scores)
    draws = DRAWS if options.points is None else max(1, round(options.points))
    method = ExpectedGradients(pool, draws, problem.seed)
    return DrawnSummary(problem, scores, options, method, options.summary or "mean_absolute")


def _shapley(problem: Problem, scores: Scores, options: Options) -> BaselineShapley:
    pool = BaselinePool.of(options.baselines, problem, scores)
    features = feature_labels(options.extra.get("features"), problem.source.input_shapes)
    orders = options.extra.get("orders")
    if orders is not None and (isinstance(orders, bool) or not isinstance(orders, int) or orders < 2 or orders % 2):
        raise MethodError(explain("orders", orders, "an even number", "orders come in pairs, one reversed"))
    if orders is not None and options.points is not None:
        raise MethodError(explain("points and orders", "both", "one of them", "leave one out"))
    if options.points is not None:
        orders = max(2, 2 * round(options.points / (2 * (int(features.max()) + 1))))
    return BaselineShapley(pool, features, (orders or ORDERS) // 2, problem.seed, problem.batch_size)


def _baseline_shapley(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    # the mean is no choice: samples explained against each other cancel in pairs
    summary = options.summary or "mean_absolute"
    return DrawnSummary(problem, scores, options, _shapley(problem, scores, options), summary)


def _bsc(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    return DrawnSummary(problem, scores, options, _shapley(problem, scores, options), "covariance", closed=True)


METHODS = (
    Method(
        "integrated_gradients",
        _integrated_gradients,
        "Integrated Gradients, mean over samples, with the standard deviation and the covariance beside it",
        needs="gradient",
        closes_to=None,
        signed=True,
        source="arXiv 1703.01365",
    ),
    Method(
        "expected_gradients",
        _expected_gradients,
        "Integrated Gradients with random baselines and points, mean absolute value over samples",
        needs="gradient",
        closes_to=None,
        signed=True,
        source="arXiv 1906.10670",
    ),
    Method(
        "gradient_x_input",
        _gradient_x_input,
        "gradient times input, mean over samples",
        needs="gradient",
        closes_to=None,
        signed=True,
        source="arXiv 1605.01713",
    ),
    Method(
        "baseline_shapley",
        _baseline_shapley,
        "Shapley values against baselines by random orders, mean absolute value over samples",
        needs="forward",
        closes_to=None,
        signed=True,
        source="arXiv 1908.08474",
        options=("features", "orders"),
    ),
    Method(
        "bsc",
        _bsc,
        "Baseline Shapley Correlation: as IGC, for a model without gradients",
        needs="forward",
        closes_to="score",
        signed=True,
        source="arXiv 2404.13910",
        options=("features", "orders"),
    ),
)
"""What the registry holds of this folder."""
