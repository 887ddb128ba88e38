"""Cells: what the components of the inputs are summed into while maps are made.

Without pooling a map has one number a component, followed by the sums over regions. With pooling it has one number a
pooled cell (a square of pixels, or nothing at all), again followed by the sums over regions. Both are linear, so that
every partition of the components keeps the sum of the map.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_array
from torch import Tensor

from igc.errors import ShapeError, explain
from igc.stats.moments import Array

__all__ = ["Cells"]

DENSE = 1 << 22
"""Matrices of so many entries at most are multiplied as dense ones."""
Rows = npt.NDArray[np.int64]


Partition = tuple[npt.ArrayLike, int]
"""The part of each component, from 0, and the number of parts, of which some may be empty."""


def _matrix(partitions: Sequence[Partition], n_components: int) -> csr_array:
    """Return the matrix that sums over the parts of every partition."""
    rows, first = [], 0
    for given, count in partitions:
        label = np.asarray(given, dtype=np.int64).reshape(-1)
        if label.shape != (n_components,) or label.min(initial=0) < 0 or label.max(initial=0) >= max(count, 1):
            seen, allowed = f"{label.shape} up to {label.max(initial=0)}", f"({n_components},), below {count}"
            raise ShapeError(explain("parts of components", seen, allowed, "number the part of each component"))
        rows.append(label + first)
        first += count
    where = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    columns = np.tile(np.arange(n_components), len(rows))
    return csr_array((np.ones(len(where)), (where, columns)), shape=(first, n_components))


@dataclass(frozen=True)
class Cells:
    """The cells of a map, followed by regions.

    Attributes
    ----------
    n_components : int
        Components of all inputs together.
    matrix : scipy.sparse.csr_array (sum, component)
        What is summed: pooled cells, if any, then regions.
    sizes : tuple of int
        Number of regions of each set.
    n_pooled : int or None
        Number of pooled cells (0: the map is not kept, only the regions); None without pooling.
    """

    n_components: int
    matrix: csr_array
    sizes: tuple[int, ...] = ()
    n_pooled: int | None = None

    @classmethod
    def of(cls, n_components: int, regions: Sequence[Partition] = (), pooled: Partition | None = None) -> Cells:
        """Make the cells of labels.

        Parameters
        ----------
        n_components : int
            Components of all inputs together.
        regions : sequence of (array of int (component,), int)
            The region of each component, from 0, and the number of regions, of each ROI set.
        pooled : (array of int (component,), int), optional
            The same of the pooled cells; of 0 cells: no map, only regions.

        Raises
        ------
        ShapeError
            If there is not one label a component, or it is out of range.
        """
        sizes = tuple(count for _, count in regions)
        if pooled is None:
            return cls(n_components, _matrix(regions, n_components), sizes)
        kept = [pooled] if pooled[1] else []
        return cls(n_components, _matrix([*kept, *regions], n_components), sizes, pooled[1])

    @property
    def pooled(self) -> bool:
        """Whether components are summed into cells before anything is kept."""
        return self.n_pooled is not None

    @property
    def n_map(self) -> int:
        """Number of cells of the map."""
        return self.n_components if self.n_pooled is None else self.n_pooled

    @property
    def n_regions(self) -> int:
        """Number of regions of all sets together."""
        return sum(self.sizes)

    @property
    def total(self) -> int:
        """Cells of the map and regions together."""
        return self.n_map + self.n_regions

    @property
    def partitions(self) -> list[slice]:
        """The stretches of cells that hold every component once: each sums to the score."""
        edges = np.cumsum([0, self.n_map, *self.sizes])
        return [slice(int(a), int(b)) for a, b in pairwise(edges) if b > a]

    @property
    def key(self) -> str:
        """Tells partial states of different cells apart."""
        total = hashlib.sha256(repr((self.n_components, self.sizes, self.n_pooled)).encode())
        for part in (self.matrix.indptr, self.matrix.indices):
            total.update(part.astype(np.int64).tobytes())
        return total.hexdigest()

    def members(self, cell: int) -> Rows:
        """Return the components of a sum, by row of :attr:`matrix`."""
        start, stop = self.matrix.indptr[cell : cell + 2]
        return np.sort(self.matrix.indices[start:stop].astype(np.int64))

    def extended(self, maps: Array) -> Array:
        """Append the sums over regions to maps of components; pooled maps have them already.

        Parameters
        ----------
        maps : array (..., component), or (..., cell) with pooling

        Returns
        -------
        array (..., cell)
        """
        if self.pooled or not self.n_regions:
            return maps
        return np.concatenate([maps, self.summed(maps)], axis=-1)

    def summed(self, maps: Array) -> Array:
        """Sum maps of components, (..., component), by the rows of :attr:`matrix`, (..., sum)."""
        flat = maps.reshape(-1, self.n_components)
        return np.asarray((self.matrix @ flat.T).T).reshape(*maps.shape[:-1], self.matrix.shape[0])

    def pool(self, maps: Tensor) -> Tensor:
        """Sum maps (..., component) into cells (..., cell), with pooling; else return them as they are."""
        if not self.pooled:
            return maps
        flat = maps.reshape(-1, self.n_components)
        return self.summing(flat)(flat).reshape(*maps.shape[:-1], self.total)

    def summing(self, like: Tensor) -> Callable[[Tensor], Tensor]:
        """Return a function that sums (pair, component) by the rows of :attr:`matrix`, (pair, sum), on the device."""
        n_sums = self.matrix.shape[0]
        if n_sums * self.n_components <= DENSE:
            dense = torch.as_tensor(self.matrix.toarray().T, dtype=like.dtype, device=like.device)
            return lambda values: values @ dense
        entries = self.matrix.tocoo()
        rows = torch.as_tensor(entries.row.astype(np.int64), device=like.device)
        columns = torch.as_tensor(entries.col.astype(np.int64), device=like.device)

        def scattered(values: Tensor) -> Tensor:
            return values.new_zeros((len(values), n_sums)).index_add_(1, rows, values[:, columns])

        return scattered
