"""Where the attribution engine reads samples from: a store on disk, or whatever a caller holds in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from igc.errors import DataError, ShapeError, explain
from igc.seeding import generator
from igc.store.arrays import read_values, store_path
from igc.store.samples import open_samples

__all__ = ["ArraySource", "StoreSource", "array_source", "labels_of", "last_written"]

Rows = npt.NDArray[np.int64]
PIECE_BYTES = 1 << 23
"""So many bytes are read at a time, or one chunk where that is larger."""
CACHE_BYTES = 1 << 24
"""Inputs are kept in memory where they fit into so many bytes, and else read when they are needed."""


def last_written(path: Path) -> int:
    """Return a number that changes when a file is written anew, whatever the clock says; 0 if there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0
    return hash((found.st_mtime_ns, found.st_ino, found.st_size))


@lru_cache(maxsize=4)
def _opened_then(path: str, written: int) -> xr.Dataset:
    return open_samples(path)


def _opened(path: str) -> xr.Dataset:
    """Open samples once, and again when they were made anew."""
    return _opened_then(path, last_written(store_path(path) / "zarr.json"))


@dataclass(frozen=True)
class StoreSource:
    """Samples of a store on disk, read by row; picklable, since it holds the path and not the data.

    Attributes
    ----------
    path : str
        The samples store.
    rows : array of int (sample,)
        Which samples, in this order.
    """

    path: str
    rows: Rows
    _held: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was read."""
        return {"path": self.path, "rows": self.rows, "_held": {}}

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.rows)

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of the input of one sample."""
        return (_opened(self.path)["inputs"].shape[1:],)

    @property
    def held(self) -> bool:
        """Whether all samples are so small that they are kept in memory once they were read."""
        inputs = _opened(self.path)["inputs"]
        return bool(inputs.nbytes * len(self.rows) <= CACHE_BYTES * len(inputs))

    def read(self, rows: Rows) -> tuple[tuple[npt.NDArray[Any], ...], npt.NDArray[Any]]:
        """Return inputs (row, ...) and responses (row, target); small stores are kept in memory."""
        opened = _opened(self.path)
        if not self._held and self.held:
            self._held["inputs"] = _rows(opened["inputs"], self.rows)
            self._held["responses"] = _rows(opened["responses"], self.rows)
        if self._held:
            return (self._held["inputs"][rows],), self._held["responses"][rows]
        return (_rows(opened["inputs"], self.rows[rows]),), _rows(opened["responses"], self.rows[rows])

    def read_responses(self, rows: Rows) -> npt.NDArray[Any]:
        """Return responses (row, target)."""
        return _rows(_opened(self.path)["responses"], self.rows[rows])


def _rows(array: xr.DataArray, rows: Rows) -> npt.NDArray[Any]:
    """Read rows of a variable on disk."""
    chunks = array.encoding.get("chunks") or (1,)
    return _gathered(lambda low, high: read_values(array, slice(low, high)), array, int(chunks[0]), rows)


def _gathered(read: Callable[[int, int], npt.NDArray[Any]], array: Any, chunk: int, rows: Rows) -> npt.NDArray[Any]:
    """Read rows in any order by pieces of consecutive ones: each chunk once, and little more memory than the rows."""
    row_bytes = int(np.prod(array.shape[1:], dtype=np.int64)) * array.dtype.itemsize
    piece = chunk * max(1, PIECE_BYTES // max(1, chunk * row_bytes))
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    # reading over a small gap is cheaper than a second read
    breaks = np.flatnonzero((np.diff(ordered) > max(64, chunk)) | (np.diff(ordered // piece) > 0)) + 1
    values = np.empty((len(rows), *array.shape[1:]), array.dtype)
    for places in np.split(order, breaks) if len(rows) else ():
        low = int(rows[places[0]])
        values[places] = read(low, int(rows[places[-1]]) + 1)[rows[places] - low]
    return values


@dataclass(frozen=True)
class ArraySource:
    """Samples held as arrays (numpy, torch, Dask) or as a torch dataset.

    Attributes
    ----------
    inputs : tuple
        One array (sample, ...) an input.
    responses : array (sample, target)
    order : array of int (sample,)
        The samples in the order of the design: shuffled where they lie in memory.
    """

    inputs: tuple[Any, ...]
    responses: Any
    order: Rows

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.order)

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each input of one sample."""
        return tuple(tuple(x.shape[1:]) for x in self.inputs)

    def read(self, rows: Rows) -> tuple[tuple[npt.NDArray[Any], ...], npt.NDArray[Any]]:
        """Return inputs (row, ...) and responses (row, target)."""
        chosen = self.order[rows]
        inputs = tuple(_numpy(_take(x, chosen)) for x in self.inputs)
        return inputs, self.read_responses(rows)

    def read_responses(self, rows: Rows) -> npt.NDArray[Any]:
        """Return responses (row, target)."""
        return _numpy(_take(self.responses, self.order[rows])).reshape(len(rows), -1)


@dataclass(frozen=True)
class _Unread:
    """A large variable, of which rows are read when they are needed."""

    variable: xr.DataArray

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.variable.shape)

    def __len__(self) -> int:
        return len(self.variable)

    def __getitem__(self, rows: Rows) -> npt.NDArray[Any]:
        return _rows(self.variable, rows)


def _held(variable: xr.DataArray) -> Any:
    """Return the array of a variable, or what reads it by rows where it is large."""
    by_dask = variable.chunks is not None
    return variable.data if by_dask or variable.nbytes <= CACHE_BYTES else _Unread(variable)


def _take(array: Any, rows: Rows) -> Any:
    """Index the first axis."""
    if not hasattr(array, "dask"):
        return array[rows]
    chunk = max(array.chunks[0], default=1)
    return _gathered(lambda low, high: array[low:high].compute(scheduler="synchronous"), array, chunk, rows)


def _numpy(values: Any) -> npt.NDArray[Any]:
    return np.asarray(values.detach().cpu().numpy() if hasattr(values, "detach") else values)


def _from_dataset(samples: Any) -> tuple[tuple[Any, ...], Any]:
    """Read a torch dataset of (inputs, response) items into arrays."""
    items = [samples[i] for i in range(len(samples))]
    firsts = [item[0] if isinstance(item[0], (tuple, list)) else (item[0],) for item in items]
    inputs = tuple(np.stack([_numpy(first[i]) for first in firsts]) for i in range(len(firsts[0])))
    return inputs, np.stack([np.atleast_1d(_numpy(item[1])) for item in items])


def _held_out(samples: xr.Dataset) -> xr.Dataset:
    """Return the test samples, where there are some."""
    if "split" in samples.coords and bool((samples["split"] == "test").any()):
        return samples.isel(sample=np.flatnonzero(samples["split"].values == "test"))
    return samples


def labels_of(samples: Any, name: str) -> npt.NDArray[Any] | None:
    """Return a coordinate (sample,) of what a caller passes as samples, of those that are taken, if it is there.

    Parameters
    ----------
    samples : (inputs, responses), xarray.Dataset or torch dataset
        As for :func:`array_source`.
    name : str
        The coordinate.

    Returns
    -------
    array (sample,), optional
        In the order of the samples.
    """
    if not isinstance(samples, xr.Dataset) or name not in samples.variables:
        return None
    return np.asarray(_held_out(samples)[name].values)


def array_source(
    samples: Any, seed: int
) -> tuple[ArraySource, npt.NDArray[Any] | None, Sequence[str] | None, tuple[str, ...] | None]:
    """Make a source of what a caller passes as samples.

    Parameters
    ----------
    samples : (inputs, responses), xarray.Dataset or torch dataset
        Inputs may be a tuple of arrays; arrays may be numpy, torch or Dask. Of a dataset with ``split``, the test
        samples are taken.
    seed : int
        Of the shuffle.

    Returns
    -------
    source : ArraySource
    groups : array (sample,), optional
        In the order of the source, where the samples say so.
    target_names : sequence of str, optional
    dims : tuple of str, optional
        Names of the component axes.

    Raises
    ------
    DataError, ShapeError
        If the samples are something else, or arrays do not fit together.
    """
    groups: npt.NDArray[Any] | None = None
    names: Sequence[str] | None = None
    dims: tuple[str, ...] | None = None
    if isinstance(samples, xr.Dataset):
        chosen = _held_out(samples)
        inputs, responses = (_held(chosen["inputs"]),), chosen["responses"].data
        groups = chosen["group"].values if "group" in chosen.coords else None
        names = [str(name) for name in chosen["target"].values] if "target" in chosen.coords else None
        dims = tuple(str(dim) for dim in chosen["inputs"].dims[1:])
    elif isinstance(samples, (tuple, list)) and len(samples) == 2:
        given, responses = samples
        inputs = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    elif hasattr(samples, "__getitem__") and hasattr(samples, "__len__"):
        inputs, responses = _from_dataset(samples)
    else:
        allowed = "(inputs, responses), an xarray.Dataset or a torch dataset"
        raise DataError(explain("samples", type(samples).__name__, allowed, "pass one of them"))
    lengths = {len(x) for x in (*inputs, responses)}
    if len(lengths) != 1 or not lengths.pop():
        seen = f"{[len(x) for x in inputs]} inputs and {len(responses)} responses"
        raise ShapeError(explain("samples", seen, "as many of each, at least one", "pass aligned arrays"))
    lazy = any(hasattr(x, "dask") or isinstance(x, _Unread) for x in (*inputs, responses))
    n = len(responses)
    order = np.arange(n) if lazy else generator(seed, "order").permutation(n)
    return ArraySource(inputs, responses, order), None if groups is None else groups[order], names, dims


def store_source(path: str | Path, fold: int, limit: int | None = None) -> StoreSource:
    """Return the held-out samples of one outer fold of a store.

    Parameters
    ----------
    path : str or Path
        The samples store.
    fold : int
        The fold.
    limit : int, optional
        Take only so many of them, evenly spread.

    Returns
    -------
    StoreSource
    """
    rows = np.flatnonzero(_opened(str(path))["fold"].values == fold)
    if not len(rows):
        raise DataError(explain(path, f"no sample held out in fold {fold}", "at least 3", "check the split"))
    if limit is not None and limit < len(rows):
        rows = rows[np.linspace(0, len(rows) - 1, limit).round().astype(np.int64)]
    return StoreSource(str(path), rows)
