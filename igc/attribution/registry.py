"""Every attribution method by name, with what it needs and promises."""

from __future__ import annotations

import difflib

from igc.attribution.baseline_shapley import BaselineShapley, feature_labels
from igc.attribution.baselines import shared_baselines
from igc.attribution.correlation.data_baseline import DataBaselineCorrelation
from igc.attribution.correlation.linear import LinearCorrelation, NaiveCorrelation
from igc.attribution.correlation.shared_baselines import SharedBaselineCorrelation, choose_quadrature
from igc.attribution.drawn import BaselinePool, DrawnSummary
from igc.attribution.expected_gradients import ExpectedGradients
from igc.attribution.integrated_gradients import GradientTimesInput, IntegratedGradients
from igc.attribution.problem import Problem, explain_predictions
from igc.attribution.protocols import DatasetAttribution, Method, Options
from igc.attribution.scores import Scores
from igc.attribution.summary import SampleSummary
from igc.attribution.two_groups import TwoGroupTest
from igc.errors import MethodError, explain

__all__ = ["METHODS", "build", "find_method", "register_method"]

METHODS: dict[str, Method] = {}
"""The registry; :func:`register_method` adds to it."""

DRAWN_BASELINES = 8
DRAWS = 16
ORDERS = 16


def register_method(method: Method) -> Method:
    """Add a method to the registry.

    Parameters
    ----------
    method : Method
        The entry; a name can be taken only once.

    Returns
    -------
    Method
    """
    if method.name in METHODS:
        raise MethodError(explain("register_method", repr(method.name), "a new name", "choose another name"))
    METHODS[method.name] = method
    return method


def find_method(name: str) -> Method:
    """Return the entry of a name.

    Raises
    ------
    MethodError
        If there is none; the message proposes the closest name.
    """
    if name not in METHODS:
        close = difflib.get_close_matches(name, METHODS, 1)
        remedy = f"did you mean {close[0]!r}?" if close else "see `igc methods`"
        raise MethodError(explain("method", repr(name), ", ".join(sorted(METHODS)), remedy))
    return METHODS[name]


def build(name: str, problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    """Make the dataset attribution of a method.

    Parameters
    ----------
    name : str
        A key of :data:`METHODS`.
    problem, scores, options
        What is explained and how.

    Returns
    -------
    DatasetAttribution

    Raises
    ------
    MethodError
        If the method or one of its options is unknown.
    """
    method = find_method(name)
    unknown = sorted(set(options.extra) - set(method.options))
    if unknown:
        allowed = ", ".join(method.options) or "no options"
        raise MethodError(explain(f"options of {name}", unknown[0], allowed, "remove or correct it"))
    return method.build(problem, scores, options)


def _igc(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    if options.baselines is None or (isinstance(options.baselines, str) and options.baselines == "data"):
        return DataBaselineCorrelation(problem, scores, options)
    return SharedBaselineCorrelation(problem, scores, options)


def _igac(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    return _igc(explain_predictions(problem, len(scores.scale)), scores.of_predictions(), options)


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


for _method in (
    Method(
        "igc",
        _igc,
        "Integrated Gradient Correlation: what carries the information that makes predictions right",
        needs="gradient",
        closes_to="score",
        signed=True,
        source="arXiv 2404.13910",
        options=("side",),
    ),
    Method(
        "igac",
        _igac,
        "Integrated Gradient auto-Correlation: what the model uses, right or wrong",
        needs="gradient",
        closes_to="one",
        signed=True,
        source="arXiv 2404.13910",
    ),
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
        "naive_correlation",
        NaiveCorrelation,
        "correlation of each input component with the response; no model",
        needs="data",
        closes_to=None,
        signed=True,
        source="arXiv 2404.13910",
    ),
    Method(
        "naive_ttest",
        TwoGroupTest,
        "t-test of each input component between samples of low and of high response, with p; no model",
        needs="data",
        closes_to=None,
        signed=True,
        source="Welch 1947",
        options=("quantile", "equal_variances"),
    ),
    Method(
        "linear_igc",
        LinearCorrelation,
        "IGC of a linear model in closed form: the product measure divided by R",
        needs="linear model",
        closes_to="score",
        signed=True,
        source="arXiv 2404.13910; Pratt 1987",
    ),
):
    register_method(_method)
