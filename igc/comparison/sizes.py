"""How large the share of an ROI is for its size: random contiguous regions of as many components as a null."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra

from igc.comparison.judged import Array, Rows
from igc.seeding import generator

__all__ = ["DRAWS", "SIZE_COLUMNS", "grown_orders", "null_sums", "size_test", "touching"]

SIZE_COLUMNS = (
    *("set", "index", "roi", "target", "n_components", "size_share", "attribution", "share", "null_mean"),
    *("null_low", "null_high", "p"),
)
"""Columns of the table of sizes."""

DRAWS = 199
"""Random regions of each size."""


def touching(places: npt.ArrayLike) -> sparse.csr_array:
    """Return which units share a side.

    Parameters
    ----------
    places : array of int (unit, axis)
        Whole-number coordinates of pixels or voxels.

    Returns
    -------
    sparse array (unit, unit)
        1 for neighbours.
    """
    index = np.asarray(places, dtype=np.int64)
    index = index - index.min(axis=0)
    shape = tuple(index.max(axis=0) + 2)  # a margin, so that a step over the edge meets nothing
    number = np.full(shape, -1, dtype=np.int64)
    number[tuple(index.T)] = np.arange(len(index))
    rows, columns = [], []
    for axis in range(index.shape[1]):
        after = index.copy()
        after[:, axis] += 1
        found = number[tuple(after.T)]
        rows.append(np.flatnonzero(found >= 0))
        columns.append(found[found >= 0])
    i, j = np.concatenate(rows), np.concatenate(columns)
    values = np.ones(2 * len(i))
    graph = sparse.coo_array((values, (np.r_[i, j], np.r_[j, i])), shape=(len(index), len(index)))
    return sparse.csr_array(graph)


def grown_orders(graph: sparse.csr_array, draws: int, seed: int) -> Rows:
    """Grow regions from random units until they cover everything.

    Each unit takes a random time to be reached from a neighbour, so that the first n units of an order are a random
    contiguous region of n units, for every n at once. Where parts of the graph do not touch, a region goes on at a
    random unit once its part is full.

    Parameters
    ----------
    graph : sparse array (unit, unit)
        From :func:`touching`; without any neighbours, regions are random subsets.
    draws, seed : int

    Returns
    -------
    array of int (draw, unit)
        Units in the order of growth.
    """
    n = graph.shape[0]
    parts = connected_components(graph, directed=False)[1]
    orders = np.empty((draws, n), dtype=np.int64)
    for draw in range(draws):
        random = generator(seed, "grown region", draw)
        weighted = graph.copy()
        weighted.data = random.exponential(size=n)[graph.indices] + 1e-12
        starts = random.permutation(n)
        firsts = starts[np.unique(parts[starts], return_index=True)[1]]
        turn = np.empty(n, dtype=np.int64)
        turn[starts] = np.arange(n)
        time = dijkstra(weighted, indices=firsts, min_only=True)
        # whole parts one after the other, by when their first unit came
        first_turn = np.full(parts.max() + 1, n)
        np.minimum.at(first_turn, parts, turn)
        orders[draw] = np.lexsort((time, first_turn[parts]))
    return orders


def null_sums(maps: Array, orders: Rows, sizes: npt.ArrayLike) -> Array:
    """Return the sums of maps over random regions of given sizes.

    Parameters
    ----------
    maps : array (target, unit)
    orders : array of int (draw, unit)
        From :func:`grown_orders`.
    sizes : array of int (size,)

    Returns
    -------
    array (draw, target, size)
    """
    wanted = np.asarray(sizes, dtype=np.int64)
    found = np.empty((len(orders), len(maps), len(wanted)))
    for draw, order in enumerate(orders):
        sums = np.concatenate([np.zeros((len(maps), 1)), maps[:, order].cumsum(axis=1)], axis=1)
        found[draw] = sums[:, wanted]
    return found


def size_test(sums: Array, null: Array) -> dict[str, Array]:
    """Compare sums over regions with those over random regions of the same size.

    Parameters
    ----------
    sums : array (target, region)
    null : array (draw, target, region)

    Returns
    -------
    dict of str to array (target, region)
        ``null_mean``; ``null_low`` and ``null_high``, between which 95 % of the null lie; ``p``, the share of random
        regions whose sum is as large in magnitude (with the region itself).
    """
    low, high = np.quantile(null, [0.025, 0.975], axis=0)
    # sums in another order differ by rounding
    reached = np.abs(null) >= np.abs(sums) * (1 - 1e-9)
    p = (1 + reached.sum(axis=0)) / (1 + len(null))
    p = np.where(np.isnan(sums), np.nan, p)
    return {"null_mean": null.mean(axis=0), "null_low": low, "null_high": high, "p": p}
