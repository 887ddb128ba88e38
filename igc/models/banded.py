"""Banded ridge regression: a strength of regularisation for each region, and what each region explains.

himalaya searches the strengths; with these fixed every fit is a ridge regression of scaled components, in primal or
dual form. Source: Nunez-Elizalde, Huth and Gallant (2019), Voxelwise encoding models with non-spherical multivariate
normal priors; Dupré la Tour et al. (2022), Feature-space selection with banded ridge regression.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from himalaya.kernel_ridge import generate_dirichlet_samples, solve_multiple_kernel_ridge_random_search
from himalaya.ridge import solve_group_ridge_random_search
from sklearn.model_selection import PredefinedSplit

from igc.models.ridge import numpy_backend
from igc.seeding import integer_seed

__all__ = ["DRAWS", "BandedFit", "BandedRidge", "penalties_of_some", "search_penalties"]

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

    def even(self, alphas: Array, keep: npt.ArrayLike) -> Array:
        """Return the weights with the same strength for all bands that are kept, (alpha, target, component).

        Parameters
        ----------
        alphas : array (alpha,)
            Strengths.
        keep : array of int (band,)
            Bands that are used.

        Returns
        -------
        array (alpha, target, component)
        """
        columns = np.flatnonzero(np.isin(self._bands, keep))
        weights = np.zeros((len(alphas), self._y.shape[1], len(self._bands)))
        x = self._x[:, columns]
        dual = self._xx is None
        values, vectors = np.linalg.eigh(x @ x.T if self._xx is None else self._xx[np.ix_(columns, columns)])
        rotated = vectors.T @ (self._y if dual else self._xy[columns])
        for i, alpha in enumerate(alphas):
            solved = vectors @ (rotated / (np.maximum(values, 0.0) + alpha)[:, np.newaxis])
            weights[i][:, columns] = (x.T @ solved if dual else solved).T
        return weights

    def errors(self, weights: Array, x: Array, y: Array) -> Array:
        """Return mean squared errors of weights (..., target, component) in other samples, (..., target)."""
        predicted = np.einsum("...tc,nc->...nt", weights, x - self._mean) + self._centre
        return np.asarray(np.mean((y - predicted) ** 2, axis=-2))

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


def penalties_of_some(
    x: Array, y: Array, bands: Rows, inner: Rows, alphas: npt.ArrayLike, penalties: Array, keeps: Sequence[Rows]
) -> list[Array]:
    """Choose strengths anew where only some bands are used.

    A band that the full model hardly used, because another says the same, must be free to stand in for that one. So
    the strengths of the full model compete with even ones, of the best size, in cross-validation.

    Parameters
    ----------
    x, y, bands, inner, alphas
        As for :func:`search_penalties`.
    penalties : array (target, band)
        Strengths of the full model.
    keeps : sequence of array of int (band,)
        Bands of each model.

    Returns
    -------
    list of array (target, band)
        Strengths for each of ``keeps``.
    """
    grid = np.asarray(alphas, dtype=np.float64)
    sums = [np.zeros((len(grid) + 1, y.shape[1])) for _ in keeps]
    for fold in np.unique(inner):
        train, test = inner != fold, inner == fold
        ridge = BandedRidge(x[train], y[train], bands)
        for total, keep in zip(sums, keeps, strict=True):
            weights = np.concatenate([ridge.fit(penalties, keep).weights[np.newaxis], ridge.even(grid, keep)])
            total += ridge.errors(weights, x[test], y[test])
    best = [total.argmin(axis=0) for total in sums]
    even = np.append(np.nan, grid)
    return [np.where((i == 0)[:, np.newaxis], penalties, even[i][:, np.newaxis]) for i in best]
