"""Banded ridge regression: a strength of regularisation for each region, and what each region explains.

himalaya searches the strengths; with these fixed every fit is a ridge regression of scaled components, in primal or
dual form. Source: Nunez-Elizalde, Huth and Gallant (2019), Voxelwise encoding models with non-spherical multivariate
normal priors; Dupré la Tour et al. (2022), Feature-space selection with banded ridge regression.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from himalaya.kernel_ridge import generate_dirichlet_samples, solve_multiple_kernel_ridge_random_search
from himalaya.ridge import solve_group_ridge_random_search
from sklearn.model_selection import PredefinedSplit

from igc.models.ridge import numpy_backend
from igc.seeding import integer_seed

__all__ = ["DRAWS", "BandedFit", "BandedRidge", "search_penalties"]

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

DRAWS = 32
"""Ratios of strengths that are tried at random, beside the even one."""

_LEAST = 1e-5


@dataclass(frozen=True)
class BandedFit:
    """An affine model and the strengths of its bands.

    Attributes
    ----------
    weights : array (target, component)
        In units of response per unit of input.
    bias : array (target,)
        In units of the response.
    penalties : array (target, band)
        What the squared norm of each band's weights is multiplied with.
    """

    weights: Array
    bias: Array
    penalties: Array


def _ratios(bands: int, seed: int) -> Array:
    """Return shares of the bands, (draw, band), the even ones first."""
    if bands == 1:
        return np.ones((1, 1))
    random_state = integer_seed(seed, "bands") % 2**32
    drawn = np.asarray(generate_dirichlet_samples(DRAWS, bands, concentration=[0.1, 1.0], random_state=random_state))
    # a share of 0 would be an infinite strength
    rows = np.maximum(np.concatenate([np.ones((1, bands)) / bands, drawn]), _LEAST)
    return np.asarray(rows / rows.sum(axis=1, keepdims=True), dtype=np.float64)


def search_penalties(x: Array, y: Array, bands: Rows, inner: Rows, alphas: npt.ArrayLike, seed: int) -> Array:
    """Choose the strengths of all bands by cross-validation.

    Parameters
    ----------
    x : array (sample, component)
        Training inputs.
    y : array (sample, target)
        Their responses.
    bands : array of int (component,)
        Band of each component, from 0 without gaps.
    inner : array of int (sample,)
        Inner fold of each sample: the mean over these folds of the squared error chooses.
    alphas : array (alpha,)
        Strengths on offer for the bands together; the strength of a band is alpha over its share.
    seed : int
        Seed of the random shares (32, and even ones, which are plain ridge regression).

    Returns
    -------
    array (target, band)
    """
    centred = x - x.mean(axis=0)
    parts = [np.ascontiguousarray(centred[:, bands == band]) for band in range(int(bands.max()) + 1)]
    options: dict[str, Any] = {
        "n_iter": _ratios(len(parts), seed),
        "alphas": np.asarray(alphas, dtype=np.float64),
        "cv": PredefinedSplit(inner),
        "fit_intercept": True,
        # kernels have an intercept only where weights are asked for
        "return_weights": "dual" if x.shape[1] > len(x) else False,
        "progress_bar": False,
    }
    with numpy_backend():
        if x.shape[1] > len(x):
            kernels = np.stack([part @ part.T for part in parts])
            deltas = solve_multiple_kernel_ridge_random_search(kernels, y - y.mean(axis=0), **options)[0]
        else:
            deltas = solve_group_ridge_random_search(parts, y - y.mean(axis=0), warn=False, **options)[0]
    return np.exp(-np.asarray(deltas, dtype=np.float64).T)


class BandedRidge:
    """Ridge regression of training samples with given strengths, for all bands or some of them.

    Minimises ``sum_n (y_n - w x_n - b)^2 + sum_b penalty_b |w_b|^2``; the intercept is not penalised.

    Parameters
    ----------
    x : array (sample, component)
        Training inputs.
    y : array (sample, target)
        Their responses.
    bands : array of int (component,)
        Band of each component.
    """

    def __init__(self, x: Array, y: Array, bands: Rows) -> None:
        self._mean, self._centre, self._bands = x.mean(axis=0), y.mean(axis=0), bands
        self._x, self._y = x - self._mean, y - self._centre
        self._xy = self._x.T @ self._y
        self._dual = x.shape[1] > len(x)
        self._xx = None if self._dual else self._x.T @ self._x

    def _solve(self, target: int, columns: Rows, penalty: Array) -> Array:
        scale = 1 / np.sqrt(penalty)
        if self._xx is None:
            z = self._x[:, columns] * scale
            return np.asarray(scale * (z.T @ np.linalg.solve(z @ z.T + np.eye(len(z)), self._y[:, target])))
        matrix = self._xx[np.ix_(columns, columns)] * np.outer(scale, scale) + np.eye(len(columns))
        return np.asarray(scale * np.linalg.solve(matrix, scale * self._xy[columns, target]))

    def fit(self, penalties: npt.ArrayLike, keep: npt.ArrayLike | None = None) -> BandedFit:
        """Fit with given strengths.

        Parameters
        ----------
        penalties : array (target, band)
            Strengths.
        keep : array of int (band,), optional
            Bands that are used; the weights of others are 0. Default: all.

        Returns
        -------
        BandedFit
        """
        strengths = np.asarray(penalties, dtype=np.float64)
        kept = np.arange(strengths.shape[1]) if keep is None else np.asarray(keep, dtype=np.int64)
        columns = np.flatnonzero(np.isin(self._bands, kept))
        weights = np.zeros((len(strengths), len(self._bands)))
        for target, row in enumerate(strengths):
            weights[target, columns] = self._solve(target, columns, row[self._bands[columns]])
        return BandedFit(weights, self._centre - weights @ self._mean, strengths)

    def structure(self, weights: Array) -> tuple[Array, Array]:
        """Return standardised weights and patterns, both (target, component).

        Parameters
        ----------
        weights : array (target, component)
            Of a fit.

        Returns
        -------
        standardized : array (target, component)
            Weights times SD of the component over SD of the response.
        patterns : array (target, component)
            Correlation of each component with the prediction: the pattern of Haufe et al. (2014), input covariance
            times weights over the variance of the prediction, in standard deviations. 0 where either is constant.
        """
        deviation, spread = self._x.std(axis=0), self._y.std(axis=0)
        predicted = self._x @ weights.T
        covariance = predicted.T @ self._x / len(self._x)
        scale = np.outer(predicted.std(axis=0), deviation)
        patterns = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
        safe = np.where(spread > 0, spread, np.inf)
        return np.asarray(weights * deviation / safe[:, np.newaxis]), np.asarray(patterns)
