"""The methods of this system, for the registry."""

from __future__ import annotations

from igc.attribution.correlation.data_baseline import DataBaselineCorrelation
from igc.attribution.correlation.linear import HaufePattern, LinearCorrelation, LinearWeights, NaiveCorrelation
from igc.attribution.correlation.shared_baselines import SharedBaselineCorrelation
from igc.attribution.correlation.two_groups import TwoGroupTest
from igc.attribution.problem import Problem, explain_predictions
from igc.attribution.protocols import DatasetAttribution, Method, Options
from igc.attribution.scores import Scores

__all__ = ["METHODS"]


def _igc(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    if options.baselines is None or (isinstance(options.baselines, str) and options.baselines == "data"):
        return DataBaselineCorrelation(problem, scores, options)
    return SharedBaselineCorrelation(problem, scores, options)


def _igac(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    return _igc(explain_predictions(problem, len(scores.scale)), scores.of_predictions(), options)


METHODS = (
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
    Method(
        "linear_weights",
        LinearWeights,
        "standardised weights of a linear model: what it multiplies inputs with",
        needs="linear model",
        closes_to=None,
        signed=True,
        source="weights times SD of the input over SD of the response",
    ),
    Method(
        "haufe",
        HaufePattern,
        "Haufe patterns of a linear model: how inputs go with its predictions",
        needs="linear model",
        closes_to=None,
        signed=True,
        source="Haufe et al. 2014",
        only_used=False,
    ),
)
"""What the registry holds of this system."""
