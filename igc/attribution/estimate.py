"""A map with what its errors are made of: replicates of the estimator, and the map without each group of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
        Independent estimates, whose weighted mean is ``value`` up to closure; None where nothing was drawn.
    replicate_weights : array (replicate,), optional
        Their weights, proportional to the points spent on each.
    without_group : array (group, target, component), optional
        The estimate without each group of samples in turn.
    noise_copies : float
        How many times the estimator's variance is in the jackknife's: twice where a draw joins two groups, once where
        each sample has its own draws.
    """

    value: Array
    replicates: Array | None = None
    replicate_weights: Array | None = None
    without_group: Array | None = None
    noise_copies: float = 2.0

    def summed(self, indicator: Array) -> MapEstimate:
        """Sum over regions.

        Parameters
        ----------
        indicator : array (roi, component)
            Weight of each component in each region.

        Returns
        -------
        MapEstimate
            With regions in place of components.
        """
        project = indicator.T
        return MapEstimate(
            self.value @ project,
            None if self.replicates is None else self.replicates @ project,
            self.replicate_weights,
            None if self.without_group is None else self.without_group @ project,
            self.noise_copies,
        )

    def estimator_error(self) -> Array:
        """Return the standard error left by the points not computed, (target, component); 0 where nothing is drawn.

        NaN where a single replicate was drawn, whose error cannot be told.
        """
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
        if self.without_group is None:
            return np.full_like(self.value, np.nan)
        total = jackknife_error(self.without_group) ** 2
        return np.sqrt(np.maximum(total - self.noise_copies * self.estimator_error() ** 2, 0.0))


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
