"""The methods of this folder, for the registry."""

from __future__ import annotations

from igc.attribution.baselines import shared_baselines
from igc.attribution.drawn import BaselinePool, DrawnSummary
from igc.attribution.gradients import Inputs
from igc.attribution.problem import Problem
from igc.attribution.protocols import DatasetAttribution, Method, Options
from igc.attribution.scores import Scores
from igc.attribution.standard.baseline_shapley import BaselineShapley, feature_labels
from igc.attribution.standard.deeplift import DeepLift
from igc.attribution.standard.expected_gradients import ExpectedGradients
from igc.attribution.standard.gradient_shap import GradientShap
from igc.attribution.standard.integrated_gradients import GradientTimesInput, IntegratedGradients
from igc.attribution.standard.lrp import EpsilonLrp
from igc.attribution.standard.noise import noise_scale
from igc.attribution.standard.occlusion import Occlusion, Patches, label_patches, square_patches
from igc.attribution.standard.quadrature import choose_quadrature
from igc.attribution.standard.smoothgrad import SmoothGrad
from igc.attribution.summary import SampleSummary
from igc.errors import MethodError, explain

__all__ = ["METHODS"]

DRAWN_BASELINES = 8
DRAWS = 16
ORDERS = 16
PATCH = 4
NOISE = 0.5


def _baselines(problem: Problem, scores: Scores, options: Options) -> Inputs:
    choice = options.baselines
    if choice is None or (isinstance(choice, str) and choice == "data"):
        choice = min(DRAWN_BASELINES, problem.n_samples)
    return shared_baselines(choice, problem, scores)


def _integrated_gradients(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    baselines = _baselines(problem, scores, options)
    rule = choose_quadrature(problem, baselines, options.points)
    method = IntegratedGradients(baselines, rule, problem.batch_size)
    return SampleSummary(problem, scores, method, options.summary or "mean", complete=True)


def _gradient_x_input(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    return SampleSummary(problem, scores, GradientTimesInput(), options.summary or "mean")


def _draws(options: Options) -> int:
    return DRAWS if options.points is None else max(1, round(options.points))


def _expected_gradients(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    pool = BaselinePool.of(options.baselines, problem, scores)
    method = ExpectedGradients(pool, _draws(options), problem.seed)
    return DrawnSummary(problem, scores, options, method, options.summary or "mean_absolute")


def _gradient_shap(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    pool = BaselinePool.of(options.baselines, problem, scores)
    scale = noise_scale(options.extra.get("noise", NOISE), problem, scores)
    method = GradientShap(pool, _draws(options), problem.seed, scale)
    return DrawnSummary(problem, scores, options, method, options.summary or "mean_absolute")


def _smoothgrad(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    scale = noise_scale(options.extra.get("noise", NOISE), problem, scores)
    times_input = options.extra.get("times_input", False)
    if not isinstance(times_input, bool):
        raise MethodError(explain("times_input", repr(times_input), "true or false", "correct it"))
    method = SmoothGrad(scale, _draws(options), problem.seed, times_input)
    return DrawnSummary(problem, scores, options, method, options.summary or "mean")


def _occlusion(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    patches = label_patches(options.extra.get("features"), problem.source.input_shapes)
    return _occluded(problem, scores, options, patches)


def _occlusion_patch(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    shapes = problem.source.input_shapes
    side = options.extra.get("patch", PATCH)
    if "patch" in options.extra and all(len(shape) < 2 for shape in shapes):
        remedy = "use occlusion, whose features may be an ROI set"
        raise MethodError(explain("patch", f"inputs of shape {shapes[0]}", "images", remedy))
    return _occluded(problem, scores, options, square_patches(side, options.extra.get("stride", side), shapes))


def _occluded(problem: Problem, scores: Scores, options: Options, patches: Patches) -> DatasetAttribution:
    method = Occlusion(_baselines(problem, scores, options), patches, problem.batch_size)
    return SampleSummary(problem, scores, method, options.summary or "mean")


def _lrp_epsilon(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    method = EpsilonLrp(options.extra.get("epsilon", 1e-9))
    method.check(problem.outputs)
    return SampleSummary(problem, scores, method, options.summary or "mean")


def _deeplift(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    method = DeepLift(_baselines(problem, scores, options))
    method.check(problem.outputs)
    return SampleSummary(problem, scores, method, options.summary or "mean", complete=True)


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
    Method(
        "occlusion",
        _occlusion,
        "what the outputs lose when each component or feature is switched to its baseline, mean over samples",
        needs="forward",
        closes_to=None,
        signed=True,
        source="arXiv 1612.08220",
        options=("features",),
    ),
    Method(
        "occlusion_patch",
        _occlusion_patch,
        "what the outputs lose when patches of an image are switched to their baseline, mean over samples",
        needs="forward",
        closes_to=None,
        signed=True,
        source="arXiv 1311.2901",
        options=("patch", "stride"),
    ),
    Method(
        "lrp_epsilon",
        _lrp_epsilon,
        "Layer-wise Relevance Propagation with the epsilon rule, mean over samples",
        needs="gradient",
        closes_to=None,
        signed=True,
        source="Bach et al. 2015",
        options=("epsilon",),
    ),
    Method(
        "deeplift",
        _deeplift,
        "DeepLIFT with the rescale rule, mean over samples",
        needs="gradient",
        closes_to=None,
        signed=True,
        source="arXiv 1704.02685",
    ),
    Method(
        "gradient_shap",
        _gradient_shap,
        "Expected Gradients of noisy copies of the samples, mean absolute value over samples",
        needs="gradient",
        closes_to=None,
        signed=True,
        source="arXiv 1705.07874",
        options=("noise",),
    ),
    Method(
        "smoothgrad",
        _smoothgrad,
        "gradient averaged over noisy copies of a sample, mean over samples",
        needs="gradient",
        closes_to=None,
        signed=True,
        source="arXiv 1706.03825",
        options=("noise", "times_input"),
    ),
)
"""What the registry holds of this folder."""
