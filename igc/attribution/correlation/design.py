"""The design of the pairs estimator: which pairs of samples, at which point of their segment, with which weight.

Everything follows from (seed, number of samples, block size, replicate), before any work is done. Samples are cut into
design blocks of consecutive samples. A replicate matches every block with a block of a random permutation, and the
samples of the one with those of the other at random, so a unit of work reads two blocks. Every ordered pair n != m is
equally likely, after weighting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from igc.seeding import generator

__all__ = ["PairDesign", "PairUnit"]

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
    weight : float
        Weight of each of its pairs.
    """

    replicate: int
    left: Rows
    right: Rows
    position: Values
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
    """

    bounds: tuple[tuple[int, int], ...]
    seed: int
    first: int
    n_replicates: int
    fraction: float = 1.0
    purpose: str = "pairs"

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
        left, right, likely = self._match(block, partner, random)
        count = min(len(left), max(1, round(len(left) * self.fraction))) if len(left) else 0
        chosen = random.permutation(len(left))[:count]
        position = (np.arange(count) + random.uniform()) / max(count, 1)
        weight = likely * len(left) * self.fraction / max(count, 1)
        return PairUnit(replicate, left[chosen], right[chosen], position, weight)

    def _match(self, block: int, partner: int, random: np.random.Generator) -> tuple[Rows, Rows, float]:
        """Match two blocks at random; the weight makes all pairs equally likely."""
        (a, b), (c, d) = self.bounds[block], self.bounds[partner]
        n_samples, n_blocks = self.bounds[-1][1] - self.bounds[0][0], len(self.bounds)
        order = random.permutation(np.arange(a, b))
        if block == partner:
            step = int(random.integers(1, b - a)) if b - a > 1 else 0
            left = order if step else order[:0]
            return left, np.roll(order, step)[: len(left)], n_blocks * (b - a - 1) / (n_samples - 1)
        others = random.permutation(np.arange(c, d))
        return order, np.resize(others, b - a), n_blocks * (d - c) / (n_samples - 1)
