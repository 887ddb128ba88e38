"""A map with what its errors are made of: replicates of the estimator, and the map without each group of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from igc.attribution.cells import Cells
from igc.errors import DataError, explain
from igc.stats.correlation import jackknife_error
from igc.stats.moments import Array

__all__ = ["MapEstimate", "combine_folds", "fold_weights", "weighted_sum"]


@dataclass(frozen=True)
class MapEstimate:
    """An estimated map; sums of it keep their errors.

    Attributes
    ----------
    value : array (target, component)
        The estimate.
    replicates : array (replicate, target, component), optional
        Independent estimates, whose weighted mean is ``value`` up to closure; None where nothing was drawn, or where
        only their spread was kept.
    replicate_weights : array (replicate,), optional
        Their weights, proportional to the points spent on each.
    without_group : array (group, target, component), optional
        The estimate without each group of samples in turn.
    noise_copies : float
        How many times the estimator's variance is in the jackknife's: twice where a draw joins two groups, once where
        each sample has its own draws.
    spread : array (target, component), optional
        Variance of the estimate over replicates, where these were not kept.
    n_replicates : int, optional
        Their number.
    """

    value: Array
    replicates: Array | None = None
    replicate_weights: Array | None = None
    without_group: Array | None = None
    noise_copies: float = 2.0
    spread: Array | None = None
    n_replicates: int | None = None

    @property
    def degrees(self) -> int | None:
        """Degrees of freedom of the estimator's error; None where nothing was drawn."""
        if self.n_replicates is not None:
            return self.n_replicates - 1
        return None if self.replicates is None else len(self.replicates) - 1

    def summed(self, indicator: Array | csr_array) -> MapEstimate:
        """Sum over regions.

        Parameters
        ----------
        indicator : array or sparse array (roi, component)
            Weight of each component in each region.

        Returns
        -------
        MapEstimate
            With regions in place of components.

        Raises
        ------
        DataError
            If replicates were drawn but not kept: the error of a sum does not follow from those of its terms.
        """
        if self.spread is not None:
            message = explain("sums over regions", "no replicates", "regions named beforehand", "pass the ROI sets")
            raise DataError(message)
        return MapEstimate(
            _sums(self.value, indicator),
            None if self.replicates is None else _sums(self.replicates, indicator),
            self.replicate_weights,
            None if self.without_group is None else _sums(self.without_group, indicator),
            self.noise_copies,
        )

    def select(self, cells: slice) -> MapEstimate:
        """Return the estimate of some components; groups may have been kept of the last ones only."""
        n = self.value.shape[1]
        start, stop, _ = cells.indices(n)
        without = self.without_group
        if without is not None:
            first = n - without.shape[-1]
            without = without[..., start - first : stop - first] if start >= first else None
        return replace(
            self,
            value=self.value[:, cells],
            replicates=None if self.replicates is None else self.replicates[..., cells],
            without_group=without,
            spread=None if self.spread is None else self.spread[:, cells],
        )

    def split(self, cells: Cells) -> tuple[MapEstimate, MapEstimate | None]:
        """Return the map, and the regions behind it where they were summed in the stream."""
        if self.value.shape[1] == cells.n_map:
            return self, None
        regions = self.select(slice(cells.n_map, None)) if cells.n_regions else None
        return self.select(slice(0, cells.n_map)), regions

    def estimator_error(self) -> Array:
        """Return the standard error left by the points not computed, (target, component); 0 where nothing is drawn.

        NaN where a single replicate was drawn, whose error cannot be told.
        """
        if self.spread is not None:
            return np.sqrt(self.spread)
        if self.replicates is None or self.replicate_weights is None:
            return np.zeros_like(self.value)
        if len(self.replicates) < 2:
            return np.full_like(self.value, np.nan)
        weights = self.replicate_weights / self.replicate_weights.sum()
        centre = np.tensordot(weights, self.replicates, axes=1)
        spread = np.tensordot(weights, (self.replicates - centre) ** 2, axes=1)
        return np.sqrt(spread / (len(weights) - 1))

    def standard_error(self) -> Array:
        """Return the standard error of sampling the samples, (target, component); NaN where it is not known.

        The jackknife of the pairs estimator deletes every pair that touches a group, each pair is deleted twice, so
        that the noise of the estimator enters with twice its variance and is taken out.
        """
        known = np.full_like(self.value, np.nan)
        if self.without_group is None:
            return known
        first = self.value.shape[1] - self.without_group.shape[-1]
        total = jackknife_error(self.without_group) ** 2
        noise = self.noise_copies * self.estimator_error()[:, first:] ** 2
        known[:, first:] = np.sqrt(np.maximum(total - noise, 0.0))
        return known


def _sums(maps: Array, indicator: Array | csr_array) -> Array:
    """Sum maps (..., component) over regions, (..., roi)."""
    flat = maps.reshape(-1, maps.shape[-1])
    return np.asarray((indicator @ flat.T).T).reshape(*maps.shape[:-1], indicator.shape[0])


def weighted_sum(parts: Sequence[Array], weights: Array) -> Array:
    """Add up maps; those of weight 0 may hold anything.

    Parameters
    ----------
    parts : sequence of array (target, component)
        One a fold.
    weights : array (fold, target)

    Returns
    -------
    array (target, component)
    """
    counted = np.where(weights[:, :, None] == 0, 0.0, np.stack(parts))
    return np.asarray(np.einsum("fk,fkc->kc", weights, counted))


def fold_weights(sizes: Sequence[int], defined: npt.NDArray[np.bool_]) -> Array:
    """Return the weight of each fold by its number of samples, (fold, target); NaN where no fold counts.

    Parameters
    ----------
    sizes : sequence of int
        Samples of each fold.
    defined : array of bool (fold, target)
        Whether a fold counts for a target.
    """
    weights = np.where(defined, np.asarray(sizes, dtype=np.float64)[:, None], 0.0)
    total = weights.sum(axis=0)
    return np.asarray(np.divide(weights, total, out=np.full_like(weights, np.nan), where=total > 0))


def combine_folds(
    estimates: Sequence[MapEstimate], sizes: Sequence[int], defined: npt.NDArray[np.bool_]
) -> tuple[Array, Array, Array]:
    """Average maps over folds by their number of samples.

    Parameters
    ----------
    estimates : sequence of MapEstimate
        One a fold.
    sizes : sequence of int
        Samples of each fold.
    defined : array of bool (fold, target)
        Whether a target has a map in a fold; the fold is else left out for the target.

    Returns
    -------
    value, standard_error, estimator_error : array (target, component)
        NaN for a target without a map in any fold.
    """
    weights = fold_weights(sizes, defined)
    value = weighted_sum([estimate.value for estimate in estimates], weights)
    estimator = np.sqrt(weighted_sum([estimate.estimator_error() ** 2 for estimate in estimates], weights**2))
    errors = [estimate.standard_error() for estimate in estimates]
    known = all(estimate.without_group is not None for estimate in estimates)
    sampling = (
        np.sqrt(weighted_sum([error**2 for error in errors], weights**2)) if known else np.full_like(value, np.nan)
    )
    return value, sampling, estimator
