"""The design of the pairs estimator: which pairs of samples, at which point of their segment, with which weight.

Everything follows from (seed, number of samples, block size, replicate), and where pairs are drawn by contrast from the
responses, before any gradient is taken. Samples are cut into design blocks of consecutive samples. A replicate matches
every block with a block of a random permutation, and the samples of the one with those of the other, at random or by
contrast, so a unit of work reads two blocks. Every ordered pair n != m is equally likely, after weighting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from igc.attribution.correlation.contrast import Contrast
from igc.seeding import generator

__all__ = ["PairDesign", "PairUnit"]

PARTNERS = 32
"""With contrast, so many partners of each sample are candidates: one part in so many of the even variance stays."""

Rows = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairUnit:
    """The pairs of one unit of work.

    Attributes
    ----------
    replicate : int
        The replicate it belongs to.
    left, right : array of int (pair,)
        Sample numbers.
    position : array (pair,)
        Point of the segment from right (0) to left (1) where the gradient is taken.
    ratio : array (pair,)
        Chance of an even draw over the chance with which the pair was drawn: what its value is multiplied with.
    weight : float
        Weight of each of its pairs.
    """

    replicate: int
    left: Rows
    right: Rows
    position: Values
    ratio: Values
    weight: float


@dataclass(frozen=True)
class PairDesign:
    """A range of replicates over the pairs of a dataset.

    Attributes
    ----------
    bounds : tuple of (int, int)
        First sample and end of each design block.
    seed : int
        Seed of the design.
    first, n_replicates : int
        The replicates.
    fraction : float
        Pairs of a replicate per sample, in (0, 1].
    purpose : str
        Name of the stream of random numbers.
    contrast : Contrast, optional
        How likely pairs are drawn; default: evenly.
    """

    bounds: tuple[tuple[int, int], ...]
    seed: int
    first: int
    n_replicates: int
    fraction: float = 1.0
    purpose: str = "pairs"
    contrast: Contrast | None = None

    @property
    def n_units(self) -> int:
        """Number of units of work."""
        return self.n_replicates * len(self.bounds)

    def unit(self, index: int) -> PairUnit:
        """Draw the pairs of one unit.

        Parameters
        ----------
        index : int
            Number of the unit, replicate after replicate.

        Returns
        -------
        PairUnit
            Empty where a block of a single sample meets itself.
        """
        replicate, block = self.first + index // len(self.bounds), index % len(self.bounds)
        partner = int(generator(self.seed, f"{self.purpose} blocks", replicate).permutation(len(self.bounds))[block])
        random = generator(self.seed, self.purpose, replicate, block)
        (a, b), (c, d) = self.bounds[block], self.bounds[partner]
        others = (d - c) - (block == partner)
        n_pairs = b - a if others else 0
        count = min(n_pairs, max(1, round(n_pairs * self.fraction)))
        left, right, ratio = self._drawn(self.bounds[block], self.bounds[partner], count, random)
        position = (np.arange(count) + random.uniform()) / max(count, 1)
        likely = len(self.bounds) * others / max(self.bounds[-1][1] - self.bounds[0][0] - 1, 1)
        return PairUnit(replicate, left, right, position, ratio, likely * n_pairs * self.fraction / max(count, 1))

    def _drawn(
        self, block: tuple[int, int], partner: tuple[int, int], count: int, random: np.random.Generator
    ) -> tuple[Rows, Rows, Values]:
        """Match two blocks at random and choose some pairs; by contrast, among several matches."""
        left = random.permutation(np.arange(*block))
        if not count:
            return left[:0], left[:0], np.zeros(0)
        right = left if block == partner else random.permutation(np.arange(*partner))
        first = int(block == partner)  # the match of a block with itself without a shift
        shifts = first + random.permutation(len(right) - first)[: 1 if self.contrast is None else PARTNERS]
        partners = (np.arange(len(left))[:, None] + shifts) % len(right)
        if self.contrast is None:
            chosen = random.permutation(len(left))[:count]
            return left[chosen], right[partners[chosen, 0]], np.ones(count)
        chances = self.contrast.chances(left, right, partners).reshape(-1)
        edges = np.cumsum(chances)
        # at even steps along the chances, so that a sample is drawn as often as it should be
        steps = (random.permutation(count) + random.uniform()) / count * edges[-1]
        cells = np.minimum(np.searchsorted(edges, steps, side="right"), len(edges) - 1)
        return left[cells // len(shifts)], right[partners.reshape(-1)[cells]], 1 / chances[cells]
