"""Which samples may be exchanged under the null: whole units inside groups."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from igc.errors import DataError, ShapeError, explain
from igc.seeding import generator

__all__ = ["MIN_ARRANGEMENTS", "Exchange", "exchange_units"]

MIN_ARRANGEMENTS = 20
"""Fewer distinct permutations than this cannot reach p = 0.05, and are refused."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Exchange:
    """Sets of units that may be exchanged with one another.

    Attributes
    ----------
    classes : tuple of array of int (unit, sample of the unit)
        Rows of the samples of each unit, in the order in which they were measured. Units of one class lie in one
        group (or are the groups themselves) and have one size.
    n_samples : int
        Number of samples; those in no class stay where they are.
    key : int
        Tells datasets apart, so that folds are permuted independently.
    """

    classes: tuple[Rows, ...]
    n_samples: int
    key: int = 0

    @property
    def log_arrangements(self) -> float:
        """Natural logarithm of the number of distinct permutations."""
        return sum(math.lgamma(len(rows) + 1) for rows in self.classes)

    @property
    def free(self) -> bool:
        """Whether every sample may take every other's place."""
        return len(self.classes) == 1 and self.classes[0].shape == (self.n_samples, 1)

    def permutation(self, seed: int, index: int) -> Rows:
        """Draw a permutation.

        Parameters
        ----------
        seed : int
            Of the study or call.
        index : int
            Number of the permutation.

        Returns
        -------
        array of int (sample,)
            The sample whose response each sample gets.
        """
        random = generator(seed, "permutation", index, self.key)
        source = np.arange(self.n_samples)
        for rows in self.classes:
            source[rows] = rows[random.permutation(len(rows))]
        return source


def _codes(labels: npt.ArrayLike, n_samples: int, where: str) -> Rows:
    given = np.asarray(labels)
    if given.shape != (n_samples,):
        raise ShapeError(explain(where, given.shape, (n_samples,), "give one label a sample"))
    return np.asarray(np.unique(given, return_inverse=True)[1].reshape(-1), dtype=np.int64)


def _strata(units: Rows, groups: Rows | None, given: bool) -> Rows:
    """Return within what units are exchanged: groups, or everything where the units are the groups."""
    everything = np.zeros_like(units)
    if groups is None:
        return everything
    pairs = np.unique(np.stack([units, groups]), axis=1)
    if pairs.shape[1] > int(units.max()) + 1:
        remedy = "give units that lie inside one group each"
        raise DataError(explain("exchange", "a unit that lies in several groups", "units inside groups", remedy))
    one_each = pairs.shape[1] == int(groups.max()) + 1
    sizes = np.unique(np.bincount(units))
    if not given and len(sizes) > 1:
        seen = f"groups of {sizes[0]} to {sizes[-1]} samples"
        remedy = "name the units inside groups with exchange=, one label a sample"
        raise DataError(explain("permutations", seen, "groups of one size", remedy))
    return everything if one_each else groups


def exchange_units(
    n_samples: int,
    groups: npt.ArrayLike | None = None,
    exchange: npt.ArrayLike | None = None,
    position: npt.ArrayLike | None = None,
) -> Exchange:
    """Work out which units are exchanged under the null.

    Parameters
    ----------
    n_samples : int
        Number of samples.
    groups : array (sample,), optional
        Group of each sample (run, session, image); default: every sample for itself.
    exchange : array (sample,), optional
        Unit of each sample (a block within a run, an image with its repeats). Units lie inside groups and keep to
        them, or are the groups; a unit changes places with units of its size only. Default: the groups as wholes,
        which must have one size.
    position : array of int (sample,), optional
        Order in which the samples were measured, kept within a unit; default: the order of the samples.

    Returns
    -------
    Exchange

    Raises
    ------
    DataError
        If units lie in several groups, groups to be exchanged as wholes differ in size, or there are fewer than
        :data:`MIN_ARRANGEMENTS` permutations.
    ShapeError
        If there is not one label a sample.
    """
    times = np.arange(n_samples) if position is None else np.asarray(position, dtype=np.int64)
    blocks = None if groups is None else _codes(groups, n_samples, "groups")
    if exchange is not None:
        units = _codes(exchange, n_samples, "exchange")
    else:
        units = np.arange(n_samples) if blocks is None else blocks
    strata = _strata(units, blocks, exchange is not None)
    order = np.lexsort((times, units))
    starts = np.flatnonzero(np.diff(units[order], prepend=-1))
    members = np.split(order, starts[1:])
    found: dict[tuple[int, int], list[Rows]] = {}
    for rows in sorted(members, key=lambda rows: int(times[rows[0]])):
        found.setdefault((int(strata[rows[0]]), len(rows)), []).append(rows)
    classes = tuple(np.stack(found[name]) for name in sorted(found) if len(found[name]) > 1)
    result = Exchange(classes, n_samples, int(times.min()) if n_samples else 0)
    if result.log_arrangements < math.log(MIN_ARRANGEMENTS) - 1e-9:
        seen = f"{round(math.exp(result.log_arrangements))} possible permutations"
        remedy = "name smaller units with exchange=, or set permutations=0"
        raise DataError(explain("permutations", seen, f"at least {MIN_ARRANGEMENTS}", remedy))
    return result
