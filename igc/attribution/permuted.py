"""Region sums under permuted responses: what is asked for, what comes out, and what a method that can do it offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from igc.attribution.protocols import DatasetAttribution, Work
from igc.stats.exchange import Exchange
from igc.stats.moments import Array

__all__ = ["MAX_NULL_BYTES", "NullMap", "NullRequest", "Permutable", "RegionTest"]

MAX_NULL_BYTES = 1 << 30
"""Sums of all permutations, targets and regions must fit into so many bytes."""


@dataclass(frozen=True)
class NullRequest:
    """A null to be made.

    Attributes
    ----------
    exchange : Exchange
        Units to permute.
    indicator : array (roi, component)
        The regions.
    permutations : int
        How many; 0: only the closed form.
    points : float
        Gradient points a sample, where the null has points of its own.
    single : bool
        Whether every sample is independent of every other, so that the spread over all permutations has a closed form.
    asked : bool
        Whether somebody asked for it, so that it may not be left out.
    """

    exchange: Exchange
    indicator: Array
    permutations: int
    points: float = 1.0
    single: bool = False
    asked: bool = True


@dataclass(frozen=True)
class NullMap:
    """Region sums of permuted responses.

    Attributes
    ----------
    value : array (permutation, target, roi)
        The sums, closed to the score of each permutation where the map is.
    noise : array (target, roi), optional
        Their standard error by the points left out; None where they are made of the very maps of the attribution.
    evaluations : int
        Gradient points used beside those of the attribution.
    deviation : array (target, roi), optional
        Standard deviation over all permutations of single samples, in closed form.
    """

    value: Array
    noise: Array | None = None
    evaluations: int = 0
    deviation: Array | None = None


class RegionTest(Protocol):
    """How a method makes the null of its region sums."""

    @property
    def attribution(self) -> DatasetAttribution | None:
        """The attribution to run in place of the method's own, where the null is gathered on its way."""
        ...

    def work(self) -> Work | None:
        """Return further work, or None where there is none."""
        ...

    def finish(self, state: Any, extra: Any) -> NullMap:
        """Turn the state of the attribution, and that of the further work, into the null."""
        ...


@runtime_checkable
class Permutable(Protocol):
    """A dataset attribution whose responses can be permuted."""

    def null(self, request: NullRequest) -> RegionTest | None:
        """Return the null of the region sums, or None where responses take no part in the map."""
        ...
