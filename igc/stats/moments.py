"""Mergeable float64 moments of maps and scalars: the one state of every dataset-wise quantity.

For each block b (a replicate of an estimator, or a group of samples) and target k a state holds the weight, the means
and the centred second moments of ``n_scalars`` numbers u (for example response and prediction) and of a map v over
components. Merging follows Chan, Golub and LeVeque (1983), so that it is exact for any partition of the data up to
rounding, also where the mean is large against the spread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from igc.errors import StateMismatchError, explain

__all__ = ["Array", "Moments"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Weights, means and centred second moments, by block.

    Attributes
    ----------
    block : array of int (block,)
        Label of each block, increasing.
    weight : array (block,)
        Sum of the weights of the observations.
    mean_scalars : array (block, target, scalar)
        Weighted means of the scalars.
    mean_map : array (block, target or 1, component)
        Weighted mean of the map; one row where all targets share the map.
    scalars : array (block, target, scalar, scalar)
        Weighted sums of centred products of the scalars.
    scalar_map : array (block, target, scalar, component)
        Weighted sums of centred products of scalar and map.
    map : array (block, target or 1, component)
        Weighted sums of the centred squares of the map; of no component where they are not kept.
    absolute_map : array (block, target or 1, component)
        Weighted mean of the absolute value of the map; of no component where it is not kept.
    """

    block: npt.NDArray[np.int64]
    weight: Array
    mean_scalars: Array
    mean_map: Array
    scalars: Array
    scalar_map: Array
    map: Array
    absolute_map: Array

    @classmethod
    def of(cls, scalars: npt.ArrayLike, maps: npt.ArrayLike, blocks: npt.ArrayLike | None = None) -> Moments:
        """Compute the moments of a batch of observations.

        Parameters
        ----------
        scalars : array (sample, target, scalar)
            Numbers per observation and target.
        maps : array (sample, target or 1, component)
            A map per observation and target, or one for all targets.
        blocks : array of int (sample,), optional
            Block of each observation; default: all in block 0.

        Returns
        -------
        Moments
            One block for each label that occurs.
        """
        u = np.asarray(scalars, dtype=np.float64)
        v = np.asarray(maps, dtype=np.float64)
        labels = np.zeros(len(u), np.int64) if blocks is None else np.asarray(blocks, dtype=np.int64)
        if len(u) != len(v) or len(u) != len(labels):
            seen = f"{len(u)} scalars, {len(v)} maps and {len(labels)} blocks"
            raise StateMismatchError(explain("moments", seen, "one of each an observation", "pass aligned arrays"))
        names = np.unique(labels)
        parts = [cls._of_block(u[labels == name], v[labels == name], int(name)) for name in names]
        return cls.join(parts) if parts else cls.empty(u.shape[1], v.shape[1], u.shape[2], v.shape[2])

    @classmethod
    def _of_block(cls, u: Array, v: Array, name: int) -> Moments:
        n = len(u)
        mean_u, mean_v = u.mean(axis=0), v.mean(axis=0)
        du, dv = u - mean_u, v - mean_v
        if v.shape[1] == 1:  # a map shared by all targets: one matrix product
            cross = np.tensordot(du, dv[:, 0], axes=(0, 0))
        else:
            cross = np.einsum("nks,nkc->ksc", du, dv, optimize=True)
        return cls(
            block=np.array([name]),
            weight=np.array([float(n)]),
            mean_scalars=mean_u[None],
            mean_map=mean_v[None],
            scalars=np.einsum("nks,nkt->kst", du, du)[None],
            scalar_map=cross[None],
            map=np.einsum("nkc,nkc->kc", dv, dv)[None],
            absolute_map=np.abs(v).mean(axis=0)[None],
        )

    @classmethod
    def empty(cls, n_targets: int, n_maps: int, n_scalars: int, n_components: int) -> Moments:
        """Return the state of no observation: the neutral element of :meth:`merge`."""
        return cls(
            block=np.zeros(0, np.int64),
            weight=np.zeros(0),
            mean_scalars=np.zeros((0, n_targets, n_scalars)),
            mean_map=np.zeros((0, n_maps, n_components)),
            scalars=np.zeros((0, n_targets, n_scalars, n_scalars)),
            scalar_map=np.zeros((0, n_targets, n_scalars, n_components)),
            map=np.zeros((0, n_maps, n_components)),
            absolute_map=np.zeros((0, n_maps, n_components)),
        )

    @classmethod
    def join(cls, parts: list[Moments]) -> Moments:
        """Put states with distinct, increasing blocks one after the other."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    def merge(self, other: Moments) -> Moments:
        """Combine two states; blocks of the same label are pooled.

        Parameters
        ----------
        other : Moments
            A state of other observations of the same shape.

        Returns
        -------
        Moments

        Raises
        ------
        StateMismatchError
            If the shapes differ.
        """
        if self.scalar_map.shape[1:] != other.scalar_map.shape[1:] or self.map.shape[1:] != other.map.shape[1:]:
            seen = f"{other.scalar_map.shape[1:]} and {other.map.shape[1:]}"
            allowed = f"{self.scalar_map.shape[1:]} and {self.map.shape[1:]}"
            raise StateMismatchError(explain("moments", seen, allowed, "merge states of one design"))
        names = np.union1d(self.block, other.block)
        mine, theirs = self._expand(names), other._expand(names)
        return mine._pool(theirs)

    def _expand(self, names: npt.NDArray[np.int64]) -> Moments:
        """Add empty blocks so that the labels are ``names``."""
        if np.array_equal(names, self.block):
            return self
        rows = np.searchsorted(names, self.block)
        grown = {}
        for f in fields(self):
            value = getattr(self, f.name)
            grown[f.name] = np.zeros((len(names), *value.shape[1:]), value.dtype)
            grown[f.name][rows] = value
        return Moments(**{**grown, "block": names})

    def _pool(self, other: Moments) -> Moments:
        """Pool block by block (same labels)."""
        total = self.weight + other.weight
        share = np.divide(other.weight, total, out=np.zeros_like(total), where=total > 0)
        factor = self.weight * share
        du = other.mean_scalars - self.mean_scalars
        dv = other.mean_map - self.mean_map
        w3, f3, f4 = share[:, None, None], factor[:, None, None], factor[:, None, None, None]
        return Moments(
            block=self.block,
            weight=total,
            mean_scalars=self.mean_scalars + w3 * du,
            mean_map=self.mean_map + w3 * dv,
            scalars=self.scalars + other.scalars + f4 * du[..., :, None] * du[..., None, :],
            scalar_map=self.scalar_map + other.scalar_map + f4 * du[..., None] * dv[:, :, None, :],
            map=self.map + other.map + (f3 * dv * dv if self.map.shape[-1] else 0.0),
            absolute_map=self.absolute_map + w3 * (other.absolute_map - self.absolute_map),
        )

    def pooled(self) -> Moments:
        """Return the moments of all blocks together, as a single block 0 (balanced tree in block order)."""
        parts = [self.select([i]) for i in range(len(self.block))]
        while len(parts) > 1:
            pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
            parts = [pair[0]._relabel(0).merge(pair[1]._relabel(0)) if len(pair) == 2 else pair[0] for pair in pairs]
        return parts[0]._relabel(0) if parts else self

    def _relabel(self, name: int) -> Moments:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Moments(**{**values, "block": np.array([name])})

    def select(self, rows: npt.ArrayLike) -> Moments:
        """Return some blocks, by position."""
        index = np.asarray(rows, dtype=np.int64)
        return Moments(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def choose_scalars(self, chosen: Sequence[int]) -> Moments:
        """Return the state of some scalars, by position; one may be chosen twice."""
        index = list(chosen)
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Moments(
            **{
                **values,
                "mean_scalars": self.mean_scalars[:, :, index],
                "scalars": self.scalars[:, :, index][:, :, :, index],
                "scalar_map": self.scalar_map[:, :, index],
            }
        )

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state as named arrays, for a file."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Moments:
        """Rebuild a state from :meth:`to_arrays`."""
        return cls(**{f.name: arrays[f.name] for f in fields(cls)})

    # --- what a single-block state says ---------------------------------------------------------------------------

    def covariance(self, scalar: int) -> Array:
        """Return the population covariance of a scalar with the map, (block, target, component)."""
        return self.scalar_map[:, :, scalar] / self.weight[:, None, None]

    def scalar_covariance(self, first: int, second: int) -> Array:
        """Return the population covariance of two scalars, (block, target)."""
        return self.scalars[:, :, first, second] / self.weight[:, None]

    def map_variance(self) -> Array:
        """Return the population variance of the map, (block, target or 1, component)."""
        return self.map / self.weight[:, None, None]
