"""What a bottleneck must keep: the sample's own class, or the prediction of each target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from igc.attribution.gradients import Inputs, Outputs
from igc.attribution.problem import Problem, Rows
from igc.attribution.scores import Scores
from igc.attribution.summary import one_hot_share
from igc.errors import MethodError, explain
from igc.stats.moments import Array

__all__ = ["SMALLEST_RESIDUAL", "TARGETS", "Likelihood", "residual_variance"]

TARGETS = ("own", "all")
"""Explain the sample's own class, or every target for itself."""
SMALLEST_RESIDUAL = 0.01
"""The residual variance counts as at least this share of the variance of the prediction."""


def residual_variance(scores: Scores) -> Array:
    """Return the residual variance of the responses, in units of the predictions, (target,).

    That is var(f) (1 - r^2) / r^2 with the correlation r of prediction f and response: var(y - f) where the prediction
    has the right scale, and free of its scale where it has not. It is held above 1 % of the variance of the
    prediction: a model without any error would have to be kept exactly, and every component would pass.
    """
    pooled = scores.pooled
    variance = pooled.scalar_covariance(1, 1)[0]
    explained = np.maximum(np.nan_to_num(scores.score) ** 2, np.finfo(np.float32).eps)
    ratio = np.maximum((1 - explained) / explained, SMALLEST_RESIDUAL)
    return np.asarray(np.where(variance > 0, variance, 1.0) * ratio)


@dataclass(frozen=True)
class Likelihood:
    """The loss of a bottleneck, in nats.

    Categories: the cross-entropy -log p(class | z), of the sample's own class, or of each class for itself. Values:
    (f(z) - f(x))^2 / (2 s^2) with the residual variance s^2 of :func:`residual_variance`. That is what the Gaussian
    likelihood -log N(y; f(z), s^2) is on average over the responses y that the model itself expects, but for a
    constant.

    Attributes
    ----------
    problem : Problem
        What is explained. For categories the softmax is taken over all outputs of the model, whatever ``output`` says.
    kind : str
        "own", "all" (categories) or "values".
    variance : array (target,)
        Residual variances.
    """

    problem: Problem
    kind: Literal["own", "all", "values"]
    variance: Array

    @classmethod
    def of(cls, problem: Problem, scores: Scores, target: str | None) -> Likelihood:
        """Choose by the responses: one-hot ones are categories.

        Parameters
        ----------
        problem, scores
            What is explained.
        target : str, optional
            "own" or "all"; default: the own class of each sample where there is one, else all.

        Raises
        ------
        MethodError
            If the own class is asked for and not every sample has one.
        """
        share = one_hot_share(scores.pooled)
        categories = share == 1 or (share is not None and problem.outputs.targets is not None)
        if target is not None and target not in TARGETS:
            raise MethodError(explain("target", repr(target), " or ".join(TARGETS), "choose one of them"))
        if target == "own" and share != 1:
            seen = "responses that are not one-hot" if share is None else "samples of other classes"
            raise MethodError(explain("target own", seen, "one class a sample", "choose target: all"))
        kind: Literal["own", "all", "values"] = "values"
        if categories:
            kind = "all" if target == "all" or share != 1 else "own"
        return cls(problem, kind, residual_variance(scores))

    @property
    def n_maps(self) -> int:
        """Number of maps a sample."""
        return 1 if self.kind == "own" else len(self.variance)

    @property
    def summary(self) -> str:
        """Default summary: the map of a class is the mean over its samples, where each explains its own class."""
        return "class_mean" if self.kind == "own" else "mean"

    def outputs(self, outputs: Outputs) -> Outputs:
        """Return the outputs that the loss is made of."""
        return outputs if self.kind == "values" else replace(outputs, output="log_probability")

    def reference(self, outputs: Outputs, inputs: Inputs, rows: Rows) -> Tensor:
        """Return what is to be kept of each sample: its class, or its predictions, (sample, map)."""
        if self.kind == "values":
            with torch.no_grad():
                return outputs(inputs)
        responses = self.problem.source.read_responses(rows)
        return torch.as_tensor(np.argmax(responses, axis=1)[:, None], device=inputs[0].device)

    def loss(self, outputs: Outputs, reference: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the loss of points (draw, sample, map, component), (draw, sample, map).

        Parameters
        ----------
        outputs : Outputs
            From :meth:`outputs`, as a function of what passes the bottleneck.
        reference : torch.Tensor
            From :meth:`reference`.
        """
        variance = torch.as_tensor(self.variance, dtype=self.problem.dtype, device=reference.device)

        def of_points(points: Tensor) -> Tensor:
            values = outputs((points.flatten(0, 2),)).reshape(*points.shape[:3], -1)
            if self.kind == "own":
                chosen = reference.expand(values.shape[:3])[..., None]
                return -values.gather(3, chosen)[..., 0]
            own = torch.diagonal(values, dim1=2, dim2=3)
            loss: Tensor = -own if self.kind == "all" else (own - reference) ** 2 / (2 * variance)
            return loss

        return of_points
