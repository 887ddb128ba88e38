"""The methods of this folder, for the registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from igc.attribution.gradients import Outputs
from igc.attribution.information.allocation import Goal
from igc.attribution.information.blocks import (
    Blocks,
    default_patch,
    patch_blocks,
    region_blocks,
    single_blocks,
)
from igc.attribution.information.files import StoredSampler
from igc.attribution.information.fills import Fills, max_doublings
from igc.attribution.information.predictive import Categories, Measure, Predictive, Values
from igc.attribution.information.protocol import BlockSampler
from igc.attribution.information.samplers import BANK, GAUSSIAN_LIMIT, fit_plain
from igc.attribution.information.summary import BlockInformation, InformationSummary
from igc.attribution.problem import Problem
from igc.attribution.protocols import DatasetAttribution, Method, Options
from igc.attribution.scores import Scores
from igc.attribution.standard.baseline_shapley import feature_labels
from igc.errors import MethodError, explain

__all__ = ["METHODS"]

MAX_DRAWS = 1024
RESIDUAL_FLOOR = 1e-6
"""Share of a response's variance that its residual has at least."""
OPTIONS = ("sampler", "features", "patch", "stride", "draws", "max_draws", "predictive")


def _sampler(problem: Problem, choice: Any) -> BlockSampler:
    """Return the sampler that was given, by itself or by its folder, or one fitted on the samples themselves."""
    if isinstance(choice, Path) or (isinstance(choice, str) and (Path(choice) / "sampler.json").is_file()):
        return StoredSampler(str(choice), 0).to(problem.device)
    if choice is not None and not isinstance(choice, str):
        given: BlockSampler = choice
        return given.to(problem.device)
    kind = choice or ("gaussian" if problem.n_components <= GAUSSIAN_LIMIT else "marginal")
    n = problem.n_samples
    # the covariance gains from every sample; the others draw from a bank
    most = n if kind in ("gaussian", "mean") else min(n, BANK)
    rows = np.unique(np.linspace(0, n - 1, most).round().astype(np.int64))
    flat = [x.reshape(len(x), -1) for x in problem.source.read(rows)[0]]
    return fit_plain(kind, np.concatenate(flat, axis=1), own=True).to(problem.device)


def _blocks(shapes: Sequence[tuple[int, ...]], sampler: BlockSampler, extra: Any) -> Blocks:
    features, patch, stride = (extra.get(name) for name in ("features", "patch", "stride"))
    for name, value in (("patch", patch), ("stride", stride)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise MethodError(explain(name, repr(value), "a whole number of pixels", "correct it"))
    if features is not None:
        if patch is not None or stride is not None:
            raise MethodError(explain("features and patch", "both", "one of them", "leave one out"))
        blocks = region_blocks(feature_labels(features, shapes))
    elif patch is None and sampler.patch is None and any(len(shape) < 2 for shape in shapes):
        if stride is not None:
            raise MethodError(explain("stride", stride, "none, for inputs that are no images", "leave it out"))
        return single_blocks(shapes)
    else:
        side = patch or sampler.patch or min(default_patch(shape) for shape in shapes)
        blocks = patch_blocks(shapes, side, 1 if stride is None else stride)
    if sampler.patch is not None and blocks.patch != sampler.patch:
        seen = "regions" if blocks.patch is None else f"patches of {blocks.patch} pixels"
        allowed = f"patches of {sampler.patch} pixels, as the sampler was trained on"
        raise MethodError(explain("patch", seen, allowed, "correct it, or choose another sampler"))
    return blocks


def _one_hot(problem: Problem) -> bool:
    """Return whether all responses are 0 or 1, and no sample has two that are 1."""
    for start, stop in problem.block_bounds():
        responses = problem.source.read_responses(np.arange(start, stop))
        if not np.isin(responses, (0, 1)).all() or (responses.sum(axis=1) > 1).any():
            return False
    return True


def _predictive(problem: Problem, scores: Scores, choice: Any, n_outputs: int) -> Predictive:
    if choice not in (None, "categories", "values"):
        raise MethodError(explain("predictive", repr(choice), "categories or values", "choose one of them"))
    if choice is None:
        choice = "categories" if n_outputs > 1 and _one_hot(problem) else "values"
    targets = problem.outputs.targets
    if choice == "categories":
        return Categories(targets)
    moments = scores.pooled
    error = moments.mean_scalars[0, :, 0] - moments.mean_scalars[0, :, 1]
    variance = [moments.scalar_covariance(i, j)[0] for i, j in ((0, 0), (1, 1), (0, 1))]
    residual = error**2 + variance[0] + variance[1] - 2 * variance[2]
    # a response that never varies, predicted without error, would leave nothing to divide by
    floor = np.maximum(RESIDUAL_FLOOR * variance[0], np.finfo(np.float64).tiny)
    return Values(torch.as_tensor(np.maximum(residual, floor), device=problem.device), targets)


def _goal(options: Options, n_blocks: int) -> tuple[Goal, int]:
    draws, most = options.extra.get("draws"), options.extra.get("max_draws", MAX_DRAWS)
    for name, value in (("draws", draws), ("max_draws", most)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value < 1):
            raise MethodError(explain(name, repr(value), "a number of draws a block", "correct it"))
    if draws is not None and (options.points is not None or options.tolerance is not None):
        raise MethodError(explain("draws with points or tolerance", "both", "one of them", "leave one out"))
    if options.points is not None:
        draws = options.points / n_blocks
    return Goal(draws, options.tolerance), max_doublings(int(most))


def _built(problem: Problem, scores: Scores, options: Options, name: Literal["pmi", "gain"]) -> DatasetAttribution:
    sampler = _sampler(problem, options.extra.get("sampler"))
    blocks = _blocks(problem.source.input_shapes, sampler, options.extra)
    outputs = Outputs(problem.outputs.model)  # a predictive distribution is one over all outputs
    with torch.no_grad():
        n_outputs = outputs(problem.load(np.arange(1))[0]).shape[1]
    predictive = _predictive(problem, scores, options.extra.get("predictive"), n_outputs)
    measure = Measure(predictive, name)
    goal, most = _goal(options, len(blocks))
    fills = Fills(outputs, sampler, blocks, measure, measure, problem.seed, problem.batch_size, most=most)
    method = BlockInformation(problem, fills, goal)
    classes = isinstance(predictive, Categories)
    default = "class_mean" if classes and name == "pmi" else "mean"
    return InformationSummary(problem, scores, method, options.summary or default, classes)


def _pmi(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    return _built(problem, scores, options, "pmi")


def _information_gain(problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    return _built(problem, scores, options, "gain")


METHODS = (
    Method(
        "pmi",
        _pmi,
        "point-wise mutual information of each target and block given the rest, in nats, mean over its samples",
        needs="forward",
        closes_to=None,
        signed=True,
        source="arXiv 2009.11150",
        options=OPTIONS,
    ),
    Method(
        "information_gain",
        _information_gain,
        "what the whole prediction loses without a block, in nats, mean over samples",
        needs="forward",
        closes_to=None,
        signed=False,
        source="arXiv 2009.11150",
        options=OPTIONS,
    ),
)
"""What the registry holds of this folder."""
