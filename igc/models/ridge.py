"""Ridge regression with an own regularisation for every target, chosen in group-wise cross-validation.

With more samples than components the samples are read once into moments of each inner fold, of which everything else
follows. With fewer, himalaya solves the problem in its kernel (dual) form.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from himalaya.backend import get_backend, set_backend
from himalaya.kernel_ridge import solve_kernel_ridge_cv_eigenvalues
from sklearn.model_selection import PredefinedSplit

from igc.models.batches import Rows, SampleSource

__all__ = ["LinearFit", "fit_ridge", "numpy_backend"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LinearFit:
    """An affine model ``weights @ x + bias`` and how it was chosen.

    Attributes
    ----------
    weights : array (target, component)
        In units of response per unit of input.
    bias : array (target,)
        In units of the response.
    alphas : array (target,)
        Regularisation chosen for each target.
    """

    weights: Array
    bias: Array
    alphas: Array


@dataclass(frozen=True)
class _Sums:
    """Count, means and centred products of inputs x and responses y."""

    n: int
    x: Array
    y: Array
    xx: Array
    xy: Array
    yy: Array

    @classmethod
    def of(cls, x: Array, y: Array) -> _Sums:
        mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
        dx, dy = x - mean_x, y - mean_y
        return cls(len(x), mean_x, mean_y, dx.T @ dx, dx.T @ dy, np.sum(dy * dy, axis=0))

    def merge(self, other: _Sums) -> _Sums:
        n = self.n + other.n
        dx, dy, factor = other.x - self.x, other.y - self.y, self.n * other.n / n
        return _Sums(
            n,
            self.x + dx * (other.n / n),
            self.y + dy * (other.n / n),
            self.xx + other.xx + factor * np.outer(dx, dx),
            self.xy + other.xy + factor * np.outer(dx, dy),
            self.yy + other.yy + factor * dy * dy,
        )

    def mean_squared_error(self, weights: Array, bias: Array) -> Array:
        """Mean squared error of ``x @ weights + bias`` per target on the samples summed here."""
        offset = self.y - bias - self.x @ weights
        squares = self.yy - 2 * np.sum(weights * self.xy, axis=0) + np.sum(weights * (self.xx @ weights), axis=0)
        return np.asarray(squares / self.n + offset**2)


def _merge_all(parts: list[_Sums]) -> _Sums:
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    return total


def _moments(source: SampleSource, rows: Rows, inner: Rows, folds: int) -> list[_Sums]:
    """Read the samples once, page by page."""
    parts: dict[int, _Sums] = {}
    for page in source.pages(rows):
        inputs, responses = source.read(page)
        x, y = inputs.flatten(1).double().numpy(), responses.double().numpy()
        labels = inner[np.searchsorted(rows, page)]
        for fold in np.unique(labels):
            part = _Sums.of(x[labels == fold], y[labels == fold])
            parts[int(fold)] = parts[int(fold)].merge(part) if int(fold) in parts else part
    return [parts[fold] for fold in range(folds)]


def _solutions(sums: _Sums, alphas: Array) -> Iterator[Array]:
    """Yield the weights (component, target) for each regularisation."""
    values, vectors = np.linalg.eigh(sums.xx)
    rotated = vectors.T @ sums.xy
    for alpha in alphas:
        yield vectors @ (rotated / (np.maximum(values, 0.0) + alpha)[:, None])


def _fit_primal(source: SampleSource, rows: Rows, inner: Rows, alphas: Array) -> LinearFit:
    folds = _moments(source, rows, inner, int(inner.max()) + 1)
    errors = np.zeros((len(alphas), len(folds[0].y)))
    for left_out, test in enumerate(folds):
        train = _merge_all([part for fold, part in enumerate(folds) if fold != left_out])
        for i, weights in enumerate(_solutions(train, alphas)):
            errors[i] += test.mean_squared_error(weights, train.y - train.x @ weights)
    chosen = errors.argmin(axis=0)
    total = _merge_all(folds)
    best = np.zeros_like(total.xy)
    for i, weights in enumerate(_solutions(total, alphas)):
        best[:, chosen == i] = weights[:, chosen == i]
    return LinearFit(best.T, total.y - total.x @ best, alphas[chosen])


@contextmanager
def numpy_backend() -> Iterator[None]:
    """Let himalaya compute with numpy, whatever was set before."""
    before = get_backend().name
    set_backend("numpy")
    try:
        yield
    finally:
        set_backend(before)


def _kernel(source: SampleSource, pages: list[Rows]) -> tuple[Array, Array]:
    """Return the linear kernel (sample, sample) of centred inputs, and their mean, reading two pages at a time."""
    sums = [source.read(page)[0].flatten(1).double().sum(dim=0) for page in pages]
    mean = torch.stack(sums).sum(dim=0) / sum(len(page) for page in pages)
    blocks: list[list[Array]] = []
    for i, first in enumerate(pages):
        x = source.read(first)[0].flatten(1).double() - mean
        others = [source.read(page)[0].flatten(1).double() - mean for page in pages[i + 1 :]]
        row = [(x @ other.T).numpy() for other in (x, *others)]
        blocks.append([*(blocks[j][i].T for j in range(i)), *row])
    return np.block(blocks), mean.numpy()


def _fit_dual(source: SampleSource, rows: Rows, inner: Rows, alphas: Array) -> LinearFit:
    pages = source.pages(rows)
    kernel, mean = _kernel(source, pages)
    responses = np.concatenate([source.read(page)[1].double().numpy() for page in pages])
    centre = responses.mean(axis=0)
    with numpy_backend():
        chosen, dual, _, shift = solve_kernel_ridge_cv_eigenvalues(
            kernel,
            responses - centre,
            alphas=alphas,
            cv=PredefinedSplit(inner),
            fit_intercept=True,
            n_targets_batch=1000,
            n_targets_batch_refit=1000,
            n_alphas_batch=1,
        )
    weights = np.zeros((responses.shape[1], len(mean)))
    for page in pages:
        x = source.read(page)[0].flatten(1).double().numpy() - mean
        weights += dual[np.searchsorted(rows, page)].T @ x
    return LinearFit(weights, centre + shift - weights @ mean, np.asarray(chosen, dtype=np.float64))


def fit_ridge(source: SampleSource, rows: Rows, inner: Rows, alphas: npt.ArrayLike) -> LinearFit:
    """Fit ridge regression of every target.

    Minimises ``sum_n (y_nk - w_k x_n - b_k)^2 + alpha_k |w_k|^2``; the intercept is not penalised.

    Parameters
    ----------
    source : SampleSource
        Where samples are read.
    rows : array of int (row,)
        Training samples, increasing.
    inner : array of int (row,)
        Inner fold of each, from 0 without gaps: the mean over these folds of the squared error chooses alpha.
    alphas : array (alpha,)
        Regularisation strengths to choose from.

    Returns
    -------
    LinearFit
    """
    grid = np.asarray(alphas, dtype=np.float64)
    n_components = int(np.prod(source.samples["inputs"].shape[1:]))
    return (_fit_dual if n_components > len(rows) else _fit_primal)(source, rows, inner, grid)
