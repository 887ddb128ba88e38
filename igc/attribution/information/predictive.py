"""What a prediction is as a distribution, and how much of it is lost: from means over fills, bias and error included.

A predictive distribution turns the raw outputs for a filled input into *statistics*, whose means over fills are all
that is needed. The measures are smooth functions G of these means, so the first bias of G(estimate) is half of the
second derivatives times the covariance of the means, which is subtracted, and their error follows from the first
derivatives (the delta method). Both come from replicates: means over disjoint parts of the draws.

A mean of probabilities may hang on a few fills that make a class likely, and draws that met none of them look alike. So
the variance of a mean is the average of two: what the draws show, and what they would show if the logits of those that
change something were normal, with the mean and variance that they have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

__all__ = ["FLOOR", "Categories", "Loss", "Measure", "Predictive", "Values", "snap"]

FLOOR = 1e-13
"""Added to probabilities, so that none is zero inside a logarithm (as published)."""
SMALLEST = 1e-12
"""Probabilities are at least so far from 0 and 1 inside a logit."""
NODES = 9
"""Points of the Gauss-Hermite rule for normal logits."""
ROUNDING = 16
"""Differences of outputs below so many units of rounding of the largest output are none."""


def snap(raw: Tensor, original: Tensor) -> Tensor:
    """Return outputs with those that differ from the original by no more than rounding put back to it.

    A model rounds differently in batches of different sizes, so an input that it ignores would not come out as zero.

    Parameters
    ----------
    raw, original : torch.Tensor (fill, output)

    Returns
    -------
    torch.Tensor (fill, output)
    """
    limit = ROUNDING * torch.finfo(raw.dtype).eps * original.abs().amax(dim=1, keepdim=True)
    return torch.where((raw - original).abs() <= limit, original, raw)


@dataclass(frozen=True)
class Loss:
    """Estimates of a measure for pairs of sample and block.

    Attributes
    ----------
    value : torch.Tensor (pair, target)
        Corrected for bias.
    deviations : torch.Tensor (pair, replicate, target)
        What each replicate's estimate differs from the value, to first order; they sum to 0, and the spread of the
        replicates gives the standard error of any sum over pairs.
    """

    value: Tensor
    deviations: Tensor

    def variance(self) -> Tensor:
        """Return the variance of the values, (pair, target)."""
        n = self.deviations.shape[1]
        return (self.deviations**2).sum(dim=1) / (n * (n - 1))


class Predictive(Protocol):
    """A kind of predictive distribution."""

    @property
    def n_statistics(self) -> int:
        """Number of means over fills that are needed for an output."""
        ...

    def statistics(self, raw: Tensor, original: Tensor) -> Tensor:
        """Return the statistics of fills, (fill, statistic, output); exactly 0 where nothing changed.

        Parameters
        ----------
        raw, original : torch.Tensor (fill, output)
            Outputs for the filled inputs, and for their originals.
        """
        ...

    def pmi(self, original: Tensor, responses: Tensor, means: Tensor, replicates: Tensor, draws: Tensor) -> Loss:
        """Return the point-wise mutual information.

        Parameters
        ----------
        original : torch.Tensor (pair, output)
            Outputs for the originals.
        responses : torch.Tensor (pair, target)
            True responses; categories need none.
        means : torch.Tensor (pair, statistic, output)
            Means of the statistics over fills.
        replicates : torch.Tensor (pair, replicate, statistic, output)
            Means over parts of the fills, whose mean is ``means``.
        draws : torch.Tensor (pair,)
            Number of fills; so large that nothing is left to chance where there is only one.
        """
        ...

    def gain(self, original: Tensor, means: Tensor, replicates: Tensor, draws: Tensor) -> Loss:
        """Return the information gain; see :meth:`pmi`."""
        ...


@dataclass(frozen=True)
class Categories:
    """Softmax probabilities.

    The statistics are the ratio of a probability to the original one, minus 1; whether anything changed; and by how
    much the logit of the probability did, and the square of that.

    Attributes
    ----------
    targets : tuple of int, optional
        Classes whose PMI is wanted; default: all. The gain is that of all.
    """

    targets: tuple[int, ...] | None = None
    n_statistics: int = 4

    def statistics(self, raw: Tensor, original: Tensor) -> Tensor:
        """Return the changes of the probabilities, (fill, 4, class)."""
        before, after = torch.softmax(original.double(), dim=1), torch.softmax(raw.double(), dim=1)
        changed = (raw != original).any(dim=1, keepdim=True).expand_as(raw)
        ratio, logit = (after - before) / (before + FLOOR), _logit(after) - _logit(before)
        found = torch.stack([ratio, torch.ones_like(ratio), logit, logit**2], dim=1)
        return torch.where(changed[:, None], found, 0.0)

    def mean_probability(self, original: Tensor, means: Tensor) -> Tensor:
        """Return the mean over fills of the probability of each class that is explained.

        Parameters
        ----------
        original : torch.Tensor (..., class)
            Outputs for the originals.
        means : torch.Tensor (..., statistic, class)
            Means of the statistics.

        Returns
        -------
        torch.Tensor (..., target)
        """
        mean = torch.softmax(original.double(), dim=-1) * (1.0 + means[..., 0, :])
        return mean if self.targets is None else mean[..., list(self.targets)]

    def pmi(self, original: Tensor, responses: Tensor, means: Tensor, replicates: Tensor, draws: Tensor) -> Loss:
        """Return log p - log pbar of the classes, (pair, class)."""
        plain, variance = self._every(original, means, replicates, draws)
        loss = Loss(plain.value, plain.deviations * _growth(variance, plain.variance())[:, None])
        if self.targets is None:
            return loss
        return Loss(loss.value[:, list(self.targets)], loss.deviations[:, :, list(self.targets)])

    @staticmethod
    def _every(original: Tensor, means: Tensor, replicates: Tensor, draws: Tensor) -> tuple[Loss, Tensor]:
        """Return the PMI of all classes with the deviations that the draws show, and the variance it has."""
        total = 1.0 + means[:, 0]
        loss = Loss(-torch.log(total), -(replicates[:, :, 0] - means[:, None, 0]) / total[:, None])
        relative = (loss.variance() + _normal_variance(original, means, draws)) / 2
        # a mean of such a variance has about a log-normal distribution; half the variance of the logarithm is its bias
        variance = torch.log1p(relative)
        return Loss(loss.value - variance / 2, loss.deviations), variance

    def gain(self, original: Tensor, means: Tensor, replicates: Tensor, draws: Tensor) -> Loss:
        """Return the mean of the PMI over the predicted classes, (pair, 1): a Kullback-Leibler divergence.

        Its error grows as those of the classes do on the whole: class by class, what cancels would not any more.
        """
        every, variance = self._every(original, means, replicates, draws)
        weight = torch.softmax(original.double(), dim=1)
        squares = [(part * weight**2).sum(dim=1, keepdim=True) for part in (variance, every.variance())]
        deviations = (every.deviations * weight[:, None]).sum(dim=2, keepdim=True)
        value = (every.value * weight).sum(dim=1, keepdim=True)
        return Loss(value, deviations * _growth(*squares)[:, None])


def _logit(probability: Tensor) -> Tensor:
    return torch.logit(probability, eps=SMALLEST)


def _growth(wanted: Tensor, shown: Tensor) -> Tensor:
    """Return by how much deviations of one variance are to be multiplied to have another; 0 where there are none."""
    return torch.where(shown > 0, wanted / shown.clamp_min(torch.finfo(shown.dtype).tiny), 0.0).sqrt()


def _normal_variance(original: Tensor, means: Tensor, draws: Tensor) -> Tensor:
    """Return the relative variance of mean probabilities, if the logits of changed ones are normal, (pair, class).

    Parameters
    ----------
    original : torch.Tensor (pair, class)
        Outputs for the originals.
    means : torch.Tensor (pair, 4, class)
        Of the statistics of :class:`Categories`.
    draws : torch.Tensor (pair,)
        Fills that the means are over.
    """
    before, draws = torch.softmax(original.double(), dim=1), draws[:, None]
    share = means[:, 1]
    centre, square = (part / share.clamp_min(SMALLEST) for part in (means[:, 2], means[:, 3]))
    number = (share * draws).round()
    # of one change alone the square tells how large it may be
    spread = torch.where(number > 1, (square - centre**2).clamp_min(0) * number / (number - 1).clamp_min(1), square)
    middle, deviation = _logit(before) + centre, spread.sqrt()
    first, second = torch.zeros_like(middle), torch.zeros_like(middle)
    for node, weight in zip(*np.polynomial.hermite_e.hermegauss(NODES), strict=True):
        change = torch.sigmoid(middle + node * deviation) / (before + FLOOR) - 1
        first, second = first + weight * change, second + weight * change**2
    first, second = (share * part / math.sqrt(2 * math.pi) for part in (first, second))
    return ((second - first**2).clamp_min(0) / (1 + first) ** 2) / draws


@dataclass(frozen=True)
class Values:
    """A Gaussian around each output; the statistics are its change by a fill and the square of the change.

    Over fills the prediction is the Gaussian of the same mean and variance as the mixture.

    Attributes
    ----------
    residual : torch.Tensor (target,)
        Variance of response around output.
    targets : tuple of int, optional
        Outputs that are explained; default: all.
    """

    residual: Tensor
    targets: tuple[int, ...] | None = None
    n_statistics: int = 2

    def _chosen(self, values: Tensor) -> Tensor:
        return values if self.targets is None else values[..., list(self.targets)]

    def statistics(self, raw: Tensor, original: Tensor) -> Tensor:
        """Return the changes and their squares, (fill, 2, output)."""
        change = raw.double() - original.double()
        return torch.stack([change, change**2], dim=1)

    def pmi(self, original: Tensor, responses: Tensor, means: Tensor, replicates: Tensor, draws: Tensor) -> Loss:
        """Return the log ratio of the two densities at the true response, (pair, output)."""
        means, replicates = self._chosen(means), self._chosen(replicates)
        error = responses.double() - self._chosen(original).double()
        shift = error - means[:, 0]
        loss = self._loss(means, replicates, shift**2, -2 * shift)
        return Loss(loss.value - error**2 / (2 * self.residual), loss.deviations)

    def gain(self, original: Tensor, means: Tensor, replicates: Tensor, draws: Tensor) -> Loss:
        """Return the Kullback-Leibler divergence of the two Gaussians, (pair, output)."""
        means, replicates = self._chosen(means), self._chosen(replicates)
        shift = means[:, 0]
        loss = self._loss(means, replicates, self.residual + shift**2, 2 * shift)
        return Loss(loss.value - 0.5, loss.deviations)

    def _loss(self, means: Tensor, replicates: Tensor, square: Tensor, slope: Tensor) -> Loss:
        """Estimate ``(log(B / residual) + A / B) / 2`` with A = ``square`` and B the variance over fills.

        ``slope`` is the derivative of A by the mean change; its second derivative is 2.
        """
        shift = means[:, 0]
        spread = (means[:, 1] - shift**2).clamp_min(0.0)
        b, a = self.residual + spread, square
        b1 = -2 * shift  # derivative of B by the mean change; that by the mean square is 1
        ratio = a / b
        gradient = torch.stack([(b1 + slope - ratio * b1) / b, (1 - ratio) / b], dim=1) / 2
        first = (-2 - b1**2 / b + 2 - 2 * slope * b1 / b + 2 * ratio + 2 * ratio * b1**2 / b) / b
        cross = (-b1 - slope + 2 * ratio * b1) / b**2
        second = (-1 + 2 * ratio) / b**2
        apart = replicates - means[:, None]
        n = apart.shape[1]
        covariance = torch.einsum("prsk,prtk->pstk", apart, apart) / (n * (n - 1))
        bias = first * covariance[:, 0, 0] + 2 * cross * covariance[:, 0, 1] + second * covariance[:, 1, 1]
        value = (torch.log1p(spread / self.residual) + ratio) / 2 - bias / 4
        return Loss(value, torch.einsum("psk,prsk->prk", gradient, apart))


@dataclass(frozen=True)
class Measure:
    """A measure of a kind of predictive distribution.

    Attributes
    ----------
    predictive : Predictive
    name : str
        "pmi" or "gain".
    """

    predictive: Predictive
    name: Literal["pmi", "gain"]

    def loss(self, original: Tensor, responses: Tensor, means: Tensor, replicates: Tensor, draws: Tensor) -> Loss:
        """Return the estimates; see :meth:`Predictive.pmi`."""
        if self.name == "gain":
            return self.predictive.gain(original, means, replicates, draws)
        return self.predictive.pmi(original, responses, means, replicates, draws)
