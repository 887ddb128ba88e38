"""Which pairs of samples are worth a gradient: those whose responses differ.

A pair contributes in proportion to the difference of its responses. Drawn in proportion to the length of that
difference, and weighted by the inverse, pairs say more for one or two continuous targets. With many targets the lengths
are much the same for all pairs, and nothing is won.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from igc.attribution.problem import Problem, Rows
from igc.stats.moments import Array

__all__ = ["Contrast", "find_contrast", "one_hot"]

EVEN = 0.1
"""Share of the draws that is even over all pairs, so that no weight exceeds its inverse."""
WORTH = 0.8
"""Drawn by contrast where that is expected to leave so much of the variance, or less."""
TRIED = 512
"""Samples whose pairs tell what is to be expected."""
MOST_TARGETS = 8
"""With more targets nothing is won, whatever their distribution, but with heavy tails that they all share."""


def one_hot(responses: Array) -> bool:
    """Say whether every sample has at most one response, of 1, and zeros else: classes, or some of them."""
    return responses.shape[1] > 2 and bool(
        np.all((responses == 0) | (responses == 1)) and np.all(responses.sum(axis=1) <= 1)
    )


@dataclass(frozen=True)
class Contrast:
    """How likely pairs are drawn, by the difference of their responses.

    Attributes
    ----------
    read_responses : callable
        Returns the responses (row, target) of some samples.
    scale : array (target,)
        What responses are multiplied with: the inverse of their standard deviation.
    """

    read_responses: Callable[[Rows], npt.NDArray[Any]]
    scale: Array

    def chances(self, left: Rows, right: Rows, partners: Rows) -> Array:
        """Return the chance of each pair over that of an even draw.

        Parameters
        ----------
        left, right : array of int (left,), (right,)
            Sample numbers.
        partners : array of int (left, partner)
            Places among ``right`` with which each of ``left`` may be paired, never itself.

        Returns
        -------
        array (left, partner)
            Its mean is 1.
        """
        first, second = (np.asarray(self.read_responses(rows), np.float64) * self.scale for rows in (left, right))
        squared = np.zeros(partners.shape)
        for one, other in zip(first.T, second.T, strict=True):
            squared += (one[:, None] - other[partners]) ** 2
        length = np.sqrt(squared)
        mean = length.mean()
        return EVEN + (1 - EVEN) * length / mean if mean > 0 else np.ones_like(length)


def find_contrast(problem: Problem) -> Contrast | None:
    """Return how to draw pairs by contrast, where that is expected to win a fifth of the variance.

    The expectation takes gradients to know nothing of the responses: pairs drawn with chance c over that of an even
    draw leave the share E[(y_n - y_m)^2 / c] / E[(y_n - y_m)^2] of the variance.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.

    Returns
    -------
    Contrast or None
        None for classes, whose silent pairs cost no gradient anyway.
    """
    rows = np.unique(np.linspace(0, problem.n_samples - 1, min(TRIED, problem.n_samples)).round().astype(np.int64))
    source = problem.source if problem.every_target is None else problem.every_target
    responses = np.asarray(source.read_responses(rows), dtype=np.float64)
    spread = responses.std(axis=0)
    varies = spread > 0
    if responses.shape[1] > MOST_TARGETS or not varies.any() or one_hot(responses):
        return None
    contrast = Contrast(source.read_responses, np.where(varies, 1 / np.where(varies, spread, 1), 0.0))
    places = np.arange(len(rows))
    partners = (places[:, None] + places[1:]) % len(rows)
    chances = contrast.chances(rows, rows, partners)
    left = []
    for values in responses.T[varies]:
        squared = (values[:, None] - values[partners]) ** 2
        left.append((squared / chances).sum() / squared.sum())
    return contrast if np.mean(left) <= WORTH else None
