"""The methods of this folder, for the registry."""

from __future__ import annotations

from typing import Any

import numpy as np

from igc.attribution.bottleneck.feature_iba import FeatureBottleneck, FeatureIba
from igc.attribution.bottleneck.features import (
    INPUT,
    Layer,
    Statistics,
    choose_layer,
    feature_statistics,
    input_statistics,
    layer_shapes,
)
from igc.attribution.bottleneck.input_iba import InputIba
from igc.attribution.bottleneck.likelihood import Likelihood
from igc.attribution.bottleneck.optimize import Budget
from igc.attribution.bottleneck.prior import MomentPrior, NoPrior, Prior, UpsampledPrior
from igc.attribution.bottleneck.spread import Shared, Spread, graph_of, pixels_or_plain
from igc.attribution.bottleneck.wgan import GanPrior
from igc.attribution.problem import Problem
from igc.attribution.protocols import DatasetAttribution, Method, Options
from igc.attribution.scores import Scores
from igc.attribution.summary import SampleSummary
from igc.errors import MethodError, explain

__all__ = ["METHODS", "PRIORS", "default_beta"]

PRIORS = ("none", "upsampled", "moment", "wgan")
BETA, COMPONENTS_EACH_NAT = 1.0, 400
FEATURE_STEPS, INPUT_STEPS, DRAWS, RATE, SIGMA = 10, 60, 10, 1.0, 1.0
MOMENT_STEPS, GAN_STEPS = 15, 40
PROBE = 4


def default_beta(n_components: int) -> float:
    """Return the weight of the mean information: 1, less for few components.

    A nat in every component then costs as much as a nat of the likelihood, and a nat in one of few components never
    more than 1/400 of it. The paper takes 20 for images of 50,000 pixels. With as much, the predictions of small images
    and those of regression, which hold a few nats, are not worth the price and maps close: on MNIST the insertion curve
    is the same for all weights up to 2 and falls beyond, on a weighted sum of pixels maps are best between 0.1 and 1.
    """
    return min(BETA, n_components / COMPONENTS_EACH_NAT)


def _number(options: Options, name: str, default: float, *, whole: bool = False, least: float = 0.0) -> float:
    """Return an option that is a number."""
    value = options.extra.get(name)
    if value is None:
        return default
    right = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, right) or not value >= least:
        allowed = f"a {'whole ' if whole else ''}number of at least {least:g}"
        raise MethodError(explain(name, repr(value), allowed, "correct it or leave it out"))
    return float(value)


def _budget(options: Options, n_components: int, steps: int) -> Budget:
    """Return how hard to optimise; ``points`` is steps times draws."""
    if options.tolerance is not None:
        seen = options.tolerance
        raise MethodError(explain("tolerance", seen, "points, for a method of fixed steps", "give points instead"))
    draws = int(_number(options, "noise_samples", DRAWS, whole=True, least=1))
    steps = int(_number(options, "steps", steps, whole=True, least=1))
    if options.points is not None:
        if options.extra.get("steps") is not None:
            raise MethodError(explain("points and steps", "both", "one of them", "leave one out"))
        steps = max(1, round(options.points / draws))
    beta = _number(options, "beta", default_beta(n_components))
    rate = _number(options, "learning_rate", RATE, least=1e-12)
    return Budget(beta, steps, rate, draws)


def _spread(problem: Problem, options: Options, shape: tuple[int, ...], at_input: bool) -> Spread:
    """Return how parameters become shares: shared in regions, along a graph, or smoothed over pixels."""
    share, graph = options.extra.get("share"), options.extra.get("graph")
    if share is not None and graph is not None:
        raise MethodError(explain("share and graph", "both", "one of them", "leave one out"))
    if share is None and graph is None:
        return pixels_or_plain(shape, _number(options, "sigma", SIGMA))
    given = "graph" if share is None else "share"
    if not at_input or len(problem.source.input_shapes) > 1:
        allowed = "a bottleneck behind a layer of the shape of a single input"
        raise MethodError(explain(given, "another bottleneck", allowed, f"leave {given} out"))
    return graph_of(graph, int(np.prod(shape))) if share is None else Shared.of(share, shape)


def _layer(problem: Problem, options: Options, laid_out: bool) -> tuple[Layer, dict[str, tuple[int, ...]]]:
    """Return the layer of the feature bottleneck, and all that there are."""
    choice = options.extra.get("layer")
    if choice is not None and not isinstance(choice, str):
        raise MethodError(explain("layer", repr(choice), "a name", "name a layer, or leave it out"))
    inputs = problem.load(np.arange(min(problem.n_samples, PROBE)))[0]
    shapes = layer_shapes(problem.outputs, inputs)
    name = choose_layer(choice, shapes, problem.source.input_shapes, laid_out)
    return Layer.of(name, problem.outputs, inputs), shapes


def _input_bottleneck(
    problem: Problem, likelihood: Likelihood, statistics: Statistics, options: Options, steps: int
) -> FeatureBottleneck:
    layer = Layer(INPUT, (problem.n_components,))
    spread = _spread(problem, options, statistics.shape, at_input=True)
    budget = _budget(options, problem.n_components, steps)
    return FeatureBottleneck(layer, statistics, likelihood, budget, spread, problem.seed)


def _feature_bottleneck(problem: Problem, likelihood: Likelihood, layer: Layer, options: Options) -> FeatureBottleneck:
    statistics = feature_statistics(problem, layer)
    same = (layer.shape,) == problem.source.input_shapes
    spread = _spread(problem, options, layer.shape, at_input=same)
    budget = _budget(options, int(np.prod(layer.shape)), FEATURE_STEPS)
    return FeatureBottleneck(layer, statistics, likelihood, budget, spread, problem.seed)


def _feature_iba(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    likelihood = Likelihood.of(problem, scores, options.extra.get("target"))
    shapes = problem.source.input_shapes
    layer = _layer(problem, options, laid_out=True)[0]
    if layer.name == INPUT:
        bottleneck = _input_bottleneck(problem, likelihood, input_statistics(problem), options, FEATURE_STEPS)
    else:
        bottleneck = _feature_bottleneck(problem, likelihood, layer, options)
    method = FeatureIba(bottleneck, shapes, problem.batch_size)
    return SampleSummary(problem, scores, method, options.summary or likelihood.summary)


def _prior(problem: Problem, likelihood: Likelihood, statistics: Statistics, options: Options, beta: float) -> Prior:
    """Return the prior of the input bottleneck, from a feature bottleneck of the default budget."""
    shapes = problem.source.input_shapes
    choice = options.extra.get("prior")
    image = len(shapes) == 1 and len(shapes[0]) == 3
    if choice is not None and choice not in PRIORS:
        raise MethodError(explain("prior", repr(choice), ", ".join(PRIORS), "choose one of them"))
    if choice is None:
        choice = "upsampled" if image else "none"
    if choice == "none":
        if options.extra.get("layer") is not None:
            raise MethodError(explain("layer", repr(options.extra["layer"]), "none, without a prior", "leave it out"))
        return NoPrior()
    layer = _layer(problem, options, laid_out=choice == "upsampled")[0]
    if layer.name == INPUT:
        if options.extra.get("prior") is None:
            return NoPrior()
        allowed = "a model with a layer to learn the prior from"
        raise MethodError(explain("prior", repr(choice), allowed, "name a layer, or choose prior: none"))
    kept: dict[str, Any] = {key: options.extra[key] for key in ("noise_samples", "sigma") if key in options.extra}
    features = _feature_bottleneck(problem, likelihood, layer, Options(extra=kept))
    if choice == "upsampled":
        return UpsampledPrior(features, shapes)
    steps = int(_number(options, "prior_steps", MOMENT_STEPS if choice == "moment" else GAN_STEPS, whole=True, least=1))
    return (MomentPrior if choice == "moment" else GanPrior)(features, statistics, shapes, steps)


def _input_iba(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    likelihood = Likelihood.of(problem, scores, options.extra.get("target"))
    statistics = input_statistics(problem)
    bottleneck = _input_bottleneck(problem, likelihood, statistics, options, INPUT_STEPS)
    prior = _prior(problem, likelihood, statistics, options, bottleneck.budget.beta)
    method = InputIba(bottleneck, prior, problem.batch_size)
    return SampleSummary(problem, scores, method, options.summary or likelihood.summary)


OPTIONS = ("layer", "beta", "steps", "learning_rate", "noise_samples", "sigma", "share", "graph", "target")

METHODS = (
    Method(
        "feature_iba",
        _feature_iba,
        "information that a prediction needs of a layer, in bits brought to the input, mean over samples",
        needs="gradient",
        closes_to=None,
        signed=False,
        source="arXiv 2001.00396",
        options=OPTIONS,
    ),
    Method(
        "input_iba",
        _input_iba,
        "share of the input that a prediction needs, against a prior from its features, mean over samples",
        needs="gradient",
        closes_to=None,
        signed=False,
        source="arXiv 2110.01471",
        options=(*OPTIONS, "prior", "prior_steps"),
    ),
)
"""What the registry holds of this folder."""
