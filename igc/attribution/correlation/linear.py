"""Closed forms: IGC, weights and patterns of a linear model, and the plain correlation of inputs with responses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from igc.attribution.closure import close, closing_shares
from igc.attribution.estimate import MapEstimate
from igc.attribution.gradients import Inputs, Outputs, output_gradients
from igc.attribution.permuted import NullRequest
from igc.attribution.problem import Problem
from igc.attribution.protocols import Options, Outcome, Work
from igc.attribution.readout import find_readout
from igc.attribution.region_sums import InputNull, RegionSums
from igc.attribution.scores import Scores
from igc.errors import MethodError, explain
from igc.stats.correlation import correlation_scale
from igc.stats.moments import Array, Moments

__all__ = ["HaufePattern", "LinearCorrelation", "LinearWeights", "NaiveCorrelation"]


@dataclass(frozen=True)
class _FromScores:
    """A method that needs no pass of its own over the samples.

    Attributes
    ----------
    problem, scores, options
        What is explained.
    """

    problem: Problem
    scores: Scores
    options: Options

    def plan(self, state: None) -> Work | None:
        """Return None: the scores say it all."""
        return None

    def precision(self, state: None) -> float | None:
        """Return None: nothing is drawn."""
        return None

    def _null(self, request: NullRequest, weights: Array, scale: Array) -> InputNull:
        pooled = self.scores.pooled
        spread = np.sqrt(pooled.scalar_covariance(0, 0)[0])
        return InputNull(RegionSums(self.problem, request), weights, pooled.mean_map[0, 0], scale, spread)


@dataclass(frozen=True)
class _OfLinearModel(_FromScores):
    """A method that reads the weights of a linear model."""

    name: ClassVar[str]

    @cached_property
    def _weights(self) -> Array:
        """The gradient, checked to be the same at two far points."""
        rows = np.array([0, self.problem.n_samples - 1])
        gradients = _gradients(self.problem.outputs, self.problem.load(rows)[0])
        spread = np.abs(gradients[0] - gradients[1]).max()
        if spread > 1e-5 * np.abs(gradients).max():
            seen = f"gradients that differ by {spread:.3g} between samples"
            raise MethodError(explain(self.name, seen, "a linear model", "use the method igc for this model"))
        return np.asarray(gradients[0])


def _gradients(outputs: Outputs, inputs: Inputs) -> Array:
    """Return the gradients of all outputs, (sample, target, component).

    Those of many outputs are put together from those of the few numbers that a linear last layer combines.
    """
    readout = find_readout(outputs, inputs)
    points = tuple(x.requires_grad_() for x in inputs)
    explained = outputs if readout is None else readout.latents
    maps = np.stack([g.double().cpu().numpy() for g in output_gradients(explained, points)], axis=1)
    return maps if readout is None else np.asarray(readout.weight.double().cpu().numpy() @ maps)


@dataclass(frozen=True)
class LinearCorrelation(_OfLinearModel):
    """IGC of a linear model, exactly: w_i cov(x_i, y) / (sd(y) sd(yhat)), the product measure divided by R."""

    name: ClassVar[str] = "linear_igc"

    def finish(self, state: None) -> Outcome:
        """Multiply weights and covariances."""
        scores = self.scores
        value = self._weights * scores.input_response * scores.scale[:, None]
        without = None
        if scores.resolved:
            rest = scores.without_group
            without = self._weights * rest.covariance(0) * correlation_scale(rest)[:, :, None]
        gap = value.sum(axis=1) - scores.score
        shares = closing_shares(value**2, np.ones_like(value))
        closed = close(value, shares, np.nan_to_num(scores.score))
        maps = {"weight": self._weights}
        return Outcome(MapEstimate(closed, without_group=without), gap, np.zeros_like(gap), 2, maps)

    def null(self, request: NullRequest) -> InputNull:
        """Return the null of the region sums: each sample's map is weights times inputs."""
        return self._null(request, self._weights, self.scores.scale)


@dataclass(frozen=True)
class LinearWeights(_OfLinearModel):
    """Standardised weights of a linear model: w_i sd(x_i) / sd(y)."""

    name: ClassVar[str] = "linear_weights"

    def finish(self, state: None) -> Outcome:
        """Bring weights to the same units."""
        scores = self.scores
        without = None
        if scores.resolved:
            without = self._weights * _relative_spread(scores.without_group)
        value = (self._weights * _relative_spread(scores.pooled))[0]
        return Outcome(MapEstimate(value, without_group=without), evaluations=2, maps={"weight": self._weights})


@dataclass(frozen=True)
class HaufePattern(_OfLinearModel):
    """Patterns of a linear model (Haufe et al. 2014), in standard deviations: the correlation of input and prediction.

    The pattern itself, cov(x_i, yhat) / var(yhat), is the further map ``pattern``: how much of an input goes with one
    unit of the prediction.
    """

    name: ClassVar[str] = "haufe"

    def finish(self, state: None) -> Outcome:
        """Divide covariances with the predictions by the standard deviations."""
        scores, n_targets = self.scores, len(self._weights)  # refuses a model that is not linear
        value = _input_correlation(scores.pooled, 1)[0]
        without = _input_correlation(scores.without_group, 1) if scores.resolved else None
        covariance, variance = scores.pooled.covariance(1)[0], scores.pooled.scalar_covariance(1, 1)[0]
        pattern = np.divide(
            covariance, variance.reshape(n_targets, 1), out=np.zeros_like(covariance), where=variance[:, None] > 0
        )
        return Outcome(MapEstimate(value, without_group=without), evaluations=2, maps={"pattern": pattern})


@dataclass(frozen=True)
class NaiveCorrelation(_FromScores):
    """Pearson correlation of each input component with each response; no model takes part."""

    def finish(self, state: None) -> Outcome:
        """Divide covariances by the standard deviations."""
        scores = self.scores
        value = _input_correlation(scores.pooled)[0]
        value[scores.pooled.scalar_covariance(0, 0)[0] == 0] = np.nan
        without = _input_correlation(scores.without_group) if scores.resolved else None
        return Outcome(MapEstimate(value, without_group=without), evaluations=0)

    def null(self, request: NullRequest) -> InputNull:
        """Return the null of the region sums: each sample's map is its standardised input."""
        variances = self.scores.pooled.map_variance()[0], self.scores.pooled.scalar_covariance(0, 0)[0]
        weights, scale = (
            np.divide(1.0, np.sqrt(v), out=np.zeros_like(v), where=v > 0, dtype=np.float64) for v in variances
        )
        return self._null(request, weights, scale)


def _input_correlation(moments: Moments, scalar: int = 0) -> Array:
    """Return corr(x_i, y_k), (block, target, component); 0 for constants. Scalar 1: with predictions in place of y."""
    variance = moments.map_variance() * moments.scalar_covariance(scalar, scalar)[:, :, None]
    return np.divide(moments.covariance(scalar), np.sqrt(variance), out=np.zeros_like(variance), where=variance > 0)


def _relative_spread(moments: Moments) -> Array:
    """Return sd(x_i) / sd(y_k), (block, target, component); 0 for constant responses."""
    inputs, responses = np.sqrt(moments.map_variance()), np.sqrt(moments.scalar_covariance(0, 0))[:, :, None]
    out = np.zeros(np.broadcast_shapes(inputs.shape, responses.shape))
    return np.divide(inputs, responses, out=out, where=responses > 0)
