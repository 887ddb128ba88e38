"""Data-driven parcels: Ward clustering of the inputs, in which only neighbours may join."""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import ward_tree
from sklearn.feature_extraction.image import grid_to_graph

from igc.errors import DataError, explain
from igc.seeding import generator
from igc.store.arrays import read_values

__all__ = ["MAX_SAMPLES", "ward_labels"]

MAX_SAMPLES = 400
"""Largest number of samples that a clustering looks at."""

_MAX_BYTES = 256 << 20
_STRAY = 0.1
_LEAF = 1.0  # sorts behind every node of a tree, whose keys are costs below or at 0


def _profiles(inputs: xr.DataArray, n_positions: int, seed: int) -> npt.NDArray[np.float64]:
    """Return the standardised inputs of a seeded subset of samples, (position, feature)."""
    n_components = int(np.prod(inputs.shape[1:]))
    most = max(20, min(MAX_SAMPLES, _MAX_BYTES // (8 * n_components)))
    n = len(inputs)
    chosen = np.sort(generator(seed, "ward").choice(n, size=min(n, most), replace=False))
    values = read_values(inputs, chosen).astype(np.float64).reshape(len(chosen), -1, n_positions)
    values -= values.mean(axis=0)
    spread = values.std(axis=0)
    values /= np.where(spread > 0, spread, 1.0)
    return values.reshape(-1, n_positions).T


def _neighbours(index: npt.NDArray[np.int64]) -> coo_matrix:
    """Return which grid positions share a face, as a symmetric sparse matrix in the order of the positions."""
    low = index.min(axis=0)
    shape = tuple(int(n) for n in index.max(axis=0) - low + 1)
    shape = (*shape, *(1 for _ in range(3 - len(shape))))
    flat = np.ravel_multi_index(tuple(np.pad(index - low, ((0, 0), (0, 3 - index.shape[1]))).T), shape)
    order = np.argsort(flat)
    mask = np.zeros(shape, dtype=bool)
    mask.reshape(-1)[flat] = True
    graph = coo_matrix(grid_to_graph(*shape, mask=mask))
    return coo_matrix((np.ones(graph.nnz), (order[graph.row], order[graph.col])), shape=(len(index), len(index)))


def _leaves(children: npt.NDArray[np.int64], node: int, n: int) -> list[int]:
    """Return the positions under a node of a tree of n leaves."""
    found, pending = [], [node]
    while pending:
        current = pending.pop()
        if current < n:
            found.append(current)
        else:
            pending.extend(int(child) for child in children[current - n])
    return found


def _cut(
    islands: list[npt.NDArray[np.int64]], profiles: npt.NDArray[np.float64], graph: coo_matrix, count: int
) -> list[npt.NDArray[np.int64]]:
    """Cut the Ward trees of all islands together into parcels, undoing the most costly merges first."""
    trees: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]] = []
    heap: list[tuple[float, int, int]] = []
    rows = graph.tocsr()
    for number, island in enumerate(islands):
        n = len(island)
        if n > 1:
            children, _, _, _, cost = ward_tree(
                profiles[island], connectivity=rows[island][:, island], return_distance=True
            )
        else:
            children, cost = np.zeros((0, 2), dtype=np.int64), np.zeros(0)
        trees.append((children, cost))
        heapq.heappush(heap, (-float(cost[-1]) if n > 1 else _LEAF, number, 2 * n - 2))
    while len(heap) < count:
        _, number, node = heapq.heappop(heap)
        children, cost = trees[number]
        n = len(islands[number])
        for child in children[node - n]:
            heapq.heappush(heap, (-float(cost[child - n]) if child >= n else _LEAF, number, int(child)))
    return [islands[number][_leaves(trees[number][0], node, len(islands[number]))] for _, number, node in heap]


def ward_labels(
    inputs: xr.DataArray,
    index: npt.NDArray[np.int64],
    position: npt.NDArray[np.float64],
    count: int,
    seed: int,
    name: str = "ward",
) -> npt.NDArray[np.int32]:
    """Divide grid positions into connected parcels of similar inputs.

    Every input is standardised over a seeded subset of samples. Positions that touch by a face may join; islands of
    the mask are clustered apart, so that no parcel spans two. Islands smaller than a tenth of the mean parcel stay
    in the rest.

    Parameters
    ----------
    inputs : xarray.DataArray (sample, component...)
        The inputs; the last axes run over the positions, an axis before them (channels) is a further feature.
    index : array (position, axis)
        Grid indices of the positions, two or three axes.
    position : array (position, axis)
        Coordinates by whose means the parcels are numbered, most important first.
    count : int
        Number of parcels.
    seed : int
        Seed of the study.
    name : str
        Name of the set, for messages.

    Returns
    -------
    array (position,) of int32
        Parcels from 1; 0 where a position is on a small island.

    Raises
    ------
    DataError
        If there are fewer positions than parcels, more large islands than parcels, or hardly any large island.
    """
    where = f"rois.{name}.count"
    if count > len(index):
        raise DataError(explain(where, count, f"at most {len(index)} (components)", "ask for fewer parcels"))
    graph = _neighbours(index)
    n_islands, island_of = connected_components(graph, directed=False)
    islands = [np.flatnonzero(island_of == i) for i in range(n_islands)]
    islands = [island for island in islands if len(island) >= _STRAY * len(index) / count]
    if sum(map(len, islands)) < count:
        allowed = "a mask in fewer pieces"
        raise DataError(
            explain(where, f"{n_islands} separate pieces", allowed, "ask for fewer parcels, or mend the mask")
        )
    if len(islands) > count:
        allowed = f"at least {len(islands)}, one for each separate piece of the mask"
        raise DataError(explain(where, count, allowed, "ask for more parcels"))
    parcels = _cut(islands, _profiles(inputs, len(index), seed), graph, count)
    parcels.sort(key=lambda parcel: tuple(np.round(position[parcel].mean(axis=0), 6)))
    labels = np.zeros(len(index), dtype=np.int32)
    for number, parcel in enumerate(parcels, start=1):
        labels[parcel] = number
    return labels
