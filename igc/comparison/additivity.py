"""Sensitivity-N and infidelity: whether sums of a map over parts tell how the output changes without the parts.

The changes do not depend on the maps, so that they are computed once for all methods.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from igc.comparison.judged import Array, Judged, Mask, Prepare, image_grid
from igc.seeding import generator

__all__ = ["infidelity", "relative_infidelity", "sensitivity_n", "subset_masks", "subset_sizes", "various_masks"]


def subset_sizes(n_units: int, count: int = 6, largest: float = 0.8) -> list[int]:
    """Return log-spaced numbers of units, from 1 to a share of all of them (arXiv 1711.06104 goes to 80 %)."""
    return sorted({max(1, round(n)) for n in np.geomspace(1, max(1.0, largest * n_units), count)})


def subset_masks(n_units: int, size: int, draws: int, seed: int, number: int) -> Mask:
    """Draw random subsets of one size for a sample.

    Parameters
    ----------
    n_units, size, draws : int
        Units, units in a subset, subsets.
    seed, number : int
        Of the random numbers, and of the sample.

    Returns
    -------
    array of bool (draw, unit)
    """
    order = generator(seed, "subsets", number, size).random((draws, n_units)).argsort(axis=1)
    return order < size


def various_masks(shape: tuple[int, ...], draws: int, seed: int, number: int) -> Mask:
    """Draw parts of all sizes for a sample: squares of an image, random subsets of a vector.

    Parameters
    ----------
    shape : tuple of int
        Of one input.
    draws, seed, number : int
        As for :func:`subset_masks`.

    Returns
    -------
    array of bool (draw, unit)
    """
    random, grid = generator(seed, "parts", number), image_grid(shape)
    if grid is None:
        n = int(np.prod(shape))
        sizes = random.integers(1, n + 1, (draws, 1))
        return np.asarray(random.random((draws, n)).argsort(axis=1) < sizes)
    rows, columns = np.arange(grid[0])[:, None], np.arange(grid[1])
    masks = np.zeros((draws, *grid), dtype=bool)
    for mask in masks:
        side = random.integers(1, max(2, min(grid) // 2 + 1))
        top, left = random.integers(0, grid[0] - side + 1), random.integers(0, grid[1] - side + 1)
        mask[:] = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    return masks.reshape(draws, -1)


def _changes(judged: Judged, reference: Prepare, masks: Mask, position: int) -> Array:
    """Return how much the raw output of one sample falls as each part is taken away, (draw,)."""
    one = judged.inputs[position : position + 1]
    remove = reference(one)
    copies = remove(judged.components(masks), np.zeros(len(masks), dtype=np.int64))
    origin = np.full(len(masks) + 1, position)
    outputs = judged.raw(np.concatenate([one, copies]), origin)
    return np.asarray(outputs[0] - outputs[1:])


def sensitivity_n(
    maps: Mapping[str, Array], judged: Judged, reference: Prepare, sizes: list[int], draws: int, seed: int
) -> dict[str, Array]:
    """Correlate sums of maps over random subsets with the changes of the output (arXiv 1711.06104).

    Parameters
    ----------
    maps : mapping of str to array (sample, unit)
        By method.
    judged, reference
        Samples and model; what stands in for parts that are taken away.
    sizes : list of int
        Numbers of units of the subsets.
    draws, seed : int
        Subsets of each size, and seed of the draws.

    Returns
    -------
    dict of str to array (sample, size)
        By method. 0 where all sums of a map are the same, NaN where no subset changes the output.
    """
    found = {name: np.full((len(judged.inputs), len(sizes)), np.nan) for name in maps}
    for i, number in enumerate(judged.numbers):
        masks = [subset_masks(judged.n_units, size, draws, seed, int(number)) for size in sizes]
        changes = np.split(_changes(judged, reference, np.concatenate(masks), i), len(sizes))
        for name, values in maps.items():
            sums = [mask @ values[i] for mask in masks]
            found[name][i] = [_correlation(a, b) for a, b in zip(sums, changes, strict=True)]
    return found


def _correlation(sums: Array, changes: Array) -> float:
    a, b = sums - sums.mean(), changes - changes.mean()
    size_a, size_b = np.sqrt(a @ a), np.sqrt(b @ b)
    # spreads of the size of rounding are none
    if size_b <= 1e-6 * np.sqrt(changes @ changes):
        return float("nan")
    return float(a @ b / (size_a * size_b)) if size_a > 1e-9 * np.sqrt(sums @ sums) else 0.0


def relative_infidelity(sums: Array, changes: Array) -> float:
    """Return the mean squared error of changes predicted by sums, each map on its best scale, over their mean square.

    Parameters
    ----------
    sums, changes : array (draw,)
        Sum of the map over each part that is taken away, and the fall of the output.

    Returns
    -------
    float
        0: the sums are the changes up to a factor; 1: they say nothing. NaN where nothing changes.
    """
    power, own = changes @ changes, sums @ sums
    if power == 0:
        return float("nan")
    scale = sums @ changes / own if own > 0 else 0.0
    return float(((scale * sums - changes) ** 2).sum() / power)


def infidelity(
    maps: Mapping[str, Array], judged: Judged, reference: Prepare, draws: int, seed: int
) -> dict[str, Array]:
    """Return how badly sums of maps over parts predict the changes of the output (arXiv 1901.09392).

    Infidelity with the perturbation "put the reference into a part", for maps that are contributions (a map times a
    mask is a sum over the part). Since maps come in many units, each is put on its best scale first, which is the
    ``normalize`` of :func:`captum.metrics.infidelity`; beyond that function, the error is divided by the mean square
    of the changes, so that samples can be averaged and 1 means "no better than nothing".

    Parameters
    ----------
    maps, judged, reference, draws, seed
        As for :func:`sensitivity_n`.

    Returns
    -------
    dict of str to array (sample,)
        By method.
    """
    found = {name: np.full(len(judged.inputs), np.nan) for name in maps}
    for i, number in enumerate(judged.numbers):
        masks = various_masks(judged.shape, draws, seed, int(number))
        changes = _changes(judged, reference, masks, i)
        for name, values in maps.items():
            found[name][i] = relative_infidelity(masks @ values[i], changes)
    return found
