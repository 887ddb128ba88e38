"""What each region explains in a linear model: alone, beyond all others, and together with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from igc.models.banded import BandedRidge, penalties_of_some
from igc.stats.correlation import jackknife_error

__all__ = ["COLUMNS", "FoldPartition", "partition_fold", "partition_table"]

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

COLUMNS = (
    *("set", "index", "roi", "target", "r2", "r2_se", "alone", "alone_se", "unique", "unique_se"),
    *("shared", "shared_se", "weight", "pattern"),
)
"""Columns of :func:`partition_table`."""

_BLOCKS = 64
_MEASURES = ("r2", "alone", "unique", "shared")


@dataclass(frozen=True)
class FoldPartition:
    """What the held-out samples of one fold say.

    Attributes
    ----------
    n : int
        Number of held-out samples.
    values : array (measure, target, band)
        R² of all bands (the same for each), of the band alone, what is lost without it, and the band alone minus
        that.
    without : array (block, measure, target, band)
        The same without each block of groups.
    weight, pattern : array (target, band)
        Root mean square of standardised weights and of patterns.
    """

    n: int
    values: Array
    without: Array
    weight: Array
    pattern: Array


def _blocks(groups: Rows) -> Rows:
    """Pool groups into at most 64 blocks, (sample,)."""
    names, codes = np.unique(groups, return_inverse=True)
    return np.asarray(codes * min(_BLOCKS, len(names)) // len(names), dtype=np.int64)


def _r_squared(errors: Array, y: Array, keep: npt.NDArray[np.bool_]) -> Array:
    """Return R² of each variant, (variant, target), from squared errors (variant, sample, target) of kept samples."""
    total = np.sum((y[keep] - y[keep].mean(axis=0)) ** 2, axis=0)
    residual = errors[:, keep].sum(axis=1)
    return np.asarray(1 - np.divide(residual, total, out=np.ones_like(residual), where=total > 0))


def _measures(r2: Array, bands: int) -> Array:
    """Turn R² of all bands, of each alone, and of all but each into (measure, target, band)."""
    whole = np.repeat(r2[0][:, np.newaxis], bands, axis=1)
    alone, unique = r2[1 : 1 + bands].T, whole - r2[1 + bands :].T
    return np.stack([whole, alone, unique, alone - unique])


def _root_mean_square(values: Array, bands: Rows, n_bands: int) -> Array:
    means = [np.mean(values[:, bands == band] ** 2, axis=1) for band in range(n_bands)]
    return np.asarray(np.sqrt(np.stack(means, axis=1)))


def partition_fold(
    train: tuple[Array, Array],
    test: tuple[Array, Array],
    groups: Rows,
    bands: Rows,
    penalties: Array,
    inner: Rows,
    alphas: Array,
) -> FoldPartition:
    """Fit with all bands, with each alone and without each, and score held-out samples.

    Parameters
    ----------
    train, test : (array (sample, component), array (sample, target))
        Inputs and responses.
    groups : array of int (sample,)
        Group of each held-out sample.
    bands : array of int (component,)
        Band of each component, from 0 without gaps.
    penalties : array (target, band)
        Strengths of regularisation of the full model; where bands are left out, see
        :func:`igc.models.banded.penalties_of_some`.
    inner : array of int (sample,)
        Inner fold of each training sample, from 0.
    alphas : array (alpha,)
        Strengths on offer.

    Returns
    -------
    FoldPartition
    """
    ridge, n_bands = BandedRidge(*train, bands), penalties.shape[1]
    every = np.arange(n_bands)
    parts = [*(every[[b]] for b in every), *(np.delete(every, b) for b in every)]
    strengths = [penalties, *penalties_of_some(*train, bands, inner, alphas, penalties, parts)]
    x, y = test
    errors = np.empty((len(strengths), *y.shape))
    for i, keep in enumerate([every, *parts]):
        fit = ridge.fit(strengths[i], keep)
        errors[i] = (y - x @ fit.weights.T - fit.bias) ** 2
    blocks = _blocks(groups)
    # without its only block a fold has no sample: its error is not known then
    left_out = [blocks != block for block in range(int(blocks.max()) + 1)] if blocks.any() else [blocks == 0]
    without = [_measures(_r_squared(errors, y, keep), n_bands) for keep in left_out]
    standardized, patterns = ridge.structure(ridge.fit(penalties).weights)
    return FoldPartition(
        len(y),
        _measures(_r_squared(errors, y, np.ones(len(y), dtype=bool)), n_bands),
        np.stack(without),
        _root_mean_square(standardized, bands, n_bands),
        _root_mean_square(patterns, bands, n_bands),
    )


def partition_table(
    folds: Sequence[FoldPartition], roi_set: str, regions: Sequence[tuple[int, str]], target_names: Sequence[str]
) -> pd.DataFrame:
    """Tabulate the partitions of all folds, weighed by their numbers of held-out samples.

    Parameters
    ----------
    folds : sequence of FoldPartition
        One a fold.
    roi_set : str
        Name of the ROI set.
    regions : sequence of (int, str)
        Index and name of the region that each band is; 0 is the rest.
    target_names : sequence of str
        Names of the targets.

    Returns
    -------
    pandas.DataFrame
        :data:`COLUMNS`, a row for each target and region. ``r2`` (of the whole model), ``alone``, ``unique`` and
        ``shared`` are shares of the variance of the response in held-out samples, and have errors by leaving out one
        block of groups at a time (NaN with a single one); ``weight`` and ``pattern`` are root mean squares over the
        components of the region, of the training samples.
    """
    share = np.array([fold.n for fold in folds]) / sum(fold.n for fold in folds)
    values = np.einsum("f,fmtb->mtb", share, np.stack([fold.values for fold in folds]))
    errors = np.sqrt(np.einsum("f,fmtb->mtb", share**2, np.stack([jackknife_error(f.without) ** 2 for f in folds])))
    columns: dict[str, Array] = {}
    for i, name in enumerate(_MEASURES):
        columns |= {name: values[i], f"{name}_se": errors[i]}
    for name in ("weight", "pattern"):
        columns[name] = np.einsum("f,ftb->tb", share, np.stack([getattr(fold, name) for fold in folds]))
    table = pd.DataFrame({name: part.reshape(-1) for name, part in columns.items()})
    table["set"] = roi_set
    table["index"] = [index for _ in target_names for index, _ in regions]
    table["roi"] = [name for _ in target_names for _, name in regions]
    table["target"] = np.repeat(np.asarray(target_names, dtype=object), len(regions))
    return table[list(COLUMNS)]
