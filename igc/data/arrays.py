"""Arrays made elsewhere: npy files, mapped into memory and never unpickled, or zarr arrays."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from igc.config import ArraysData
from igc.data.source import Categories, FloatArray, IntArray, Source, Variable, codes_of, one_hot
from igc.data.volumes import as_regions
from igc.errors import DataError, MissingFileError, ShapeError, explain
from igc.store.samples import component_dims

__all__ = ["open_array", "open_arrays"]

AnyArray = npt.NDArray[Any]


def _open_npy(file: Path) -> AnyArray:
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(explain(file, f"unreadable ({error})", "a .npy array of numbers", "save it again")) from error
    if not isinstance(array, np.ndarray):
        # an archive would be taken for the array of its names
        array.close()
        raise DataError(explain(file, "an .npz archive", "a .npy array of numbers", "save the array with numpy.save"))
    return array


def _open_zarr(folder: Path) -> AnyArray:
    """Copy a zarr array chunk by chunk into an unnamed temporary file, because samples are read in random order."""
    try:
        array = zarr.open_array(folder, mode="r")
    except (ValueError, KeyError, OSError, zarr.errors.BaseZarrError) as error:
        raise DataError(
            explain(folder, f"unreadable ({error})", "a zarr array", "name one array, not a group")
        ) from error
    if array.size == 0 or array.ndim == 0 or array.dtype.kind not in "buif":
        return np.empty(array.shape, array.dtype)
    # written rather than mapped, because a full disk ends writing with an error, but a map with the whole process
    with tempfile.TemporaryFile() as spool:
        for start in range(0, array.shape[0], array.chunks[0]):
            try:
                rows = np.asarray(array[start : start + array.chunks[0]])
            except (ValueError, RuntimeError) as error:
                seen = f"a damaged chunk ({error})"
                raise DataError(explain(folder, seen, "a complete zarr array", "copy or make it again")) from error
            spool.write(np.ascontiguousarray(rows).tobytes())
        spool.flush()
        # the map keeps the file alive after it is closed and unlinked
        return np.memmap(spool, dtype=array.dtype, mode="r", shape=array.shape)


def open_array(path: str | Path) -> AnyArray:
    """Open an array of numbers without reading it into memory.

    Parameters
    ----------
    path : str or Path
        A ``.npy`` file or a zarr array.

    Returns
    -------
    array
        Memory-mapped.

    Raises
    ------
    MissingFileError, DataError
        If there is no such file, or it does not hold numbers.
    """
    file = Path(path)
    if not file.exists():
        raise MissingFileError(explain(file, "no such file", "a .npy or .zarr array", "check the path"))
    array = _open_zarr(file) if file.is_dir() else _open_npy(file)
    if array.dtype.kind not in "buif":
        raise DataError(explain(file, f"elements of type {array.dtype}", "real numbers", "convert the array"))
    return array


def _open_inputs(data: ArraysData) -> AnyArray:
    inputs = open_array(data.inputs)
    if inputs.ndim not in {2, 4} or inputs.size == 0:
        allowed = "(sample, feature) or (sample, channel, row, column)"
        raise ShapeError(explain(data.inputs, f"shape {inputs.shape}", allowed, "reshape the array"))
    return inputs


def _per_sample(path: str, n_samples: int, inputs: str) -> AnyArray:
    """Open an array (sample,) of names or numbers."""
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(explain(file, "no such file", "a .npy array", "check the path"))
    array = _open_npy(file)
    if array.shape != (n_samples,):
        raise ShapeError(explain(file, f"shape {array.shape}", f"({n_samples},), as {inputs}", "give one a sample"))
    return array


class _Responses:
    """Responses read by position, with the names of the targets."""

    def __init__(self, data: ArraysData, n_samples: int) -> None:
        self._array = open_array(data.responses)
        self.categories: Categories | None = None
        if self._array.ndim not in {1, 2} or len(self._array) != n_samples:
            seen = f"shape {self._array.shape} for {n_samples} inputs"
            raise ShapeError(explain(data.responses, seen, f"({n_samples}, target) or ({n_samples},)", "match them"))
        if self._array.ndim == 1:
            self.categories = self._read_categories(data)
        count = len(self.categories.names) if self.categories else self._array.shape[1]
        default = self.categories.names if self.categories else [f"target {i}" for i in range(count)]
        self.names = data.target_names or default
        if len(self.names) != count or len(set(self.names)) != count or count == 0:
            seen = f"{len(self.names)} names, {len(set(self.names))} of them different"
            raise ShapeError(explain("data.target_names", seen, f"{count} different names", "name each target once"))

    def _read_categories(self, data: ArraysData) -> Categories:
        if self._array.dtype.kind == "f" and not np.array_equal(self._array, np.round(self._array)):
            remedy = "for a number to predict give it the shape (sample, 1)"
            raise DataError(explain(data.responses, "fractions or NaN as categories", "whole numbers", remedy))
        codes = self._array.astype(np.int64)
        return Categories.of(data.responses, codes)

    def read(self, positions: IntArray) -> FloatArray:
        if self.categories is not None:
            return one_hot(self.categories.codes[positions], len(self.categories.names))
        return np.asarray(self._array[positions], dtype=np.float32)


def _test_set(data: ArraysData, n_samples: int) -> npt.NDArray[np.bool_] | None:
    if data.test is None:
        return None
    values = _per_sample(data.test, n_samples, data.inputs)
    if not np.isin(values, [0, 1]).all():
        raise DataError(explain(data.test, "other numbers than 0 and 1", "0 and 1", "mark test samples with 1"))
    return values.astype(bool)


def _atlases(data: ArraysData, shape: tuple[int, ...]) -> dict[str, Variable]:
    atlases = {}
    for name, files in data.atlases.items():
        values = open_array(files.labels)
        if values.shape != shape:
            seen = f"shape {values.shape}"
            raise ShapeError(explain(f"{files.labels} (atlas {name})", seen, f"{shape}, as one input", "reshape it"))
        labels, regions = as_regions(name, files.labels, values, files.table)
        atlases[f"atlas_{name}"] = Variable(component_dims(len(shape)), labels, {"regions": regions})
    return atlases


@contextmanager
def open_arrays(data: ArraysData, seed: int) -> Iterator[Source]:
    """Open arrays of inputs and responses.

    Parameters
    ----------
    data : ArraysData
        The files.
    seed : int
        Not used: nothing is random here.

    Yields
    ------
    Source
        Inputs as they are, in float32; each sample is a group of its own unless groups are given.

    Raises
    ------
    MissingFileError, DataError, ShapeError
        If a file is missing or unreadable, or does not fit the others.
    """
    del seed
    inputs = _open_inputs(data)
    n_samples = len(inputs)
    responses = _Responses(data, n_samples)
    groups, group_names = np.arange(n_samples), list[str]()
    if data.groups is not None:
        groups, group_names = codes_of(_per_sample(data.groups, n_samples, data.inputs))

    def read(positions: IntArray) -> tuple[FloatArray, FloatArray]:
        # what single precision cannot hold becomes infinite, and is refused with its sample when it is written
        with np.errstate(over="ignore"):
            return np.asarray(inputs[positions], dtype=np.float32), responses.read(positions)

    yield Source(
        shape=inputs.shape[1:],
        kind="image" if inputs.ndim == 4 else "vector",
        target_type="values" if responses.categories is None else "categories",
        target_names=responses.names,
        groups=groups,
        group_names=group_names,
        sample_ids=np.arange(n_samples),
        read=read,
        origin={"name": "arrays", "files": [data.inputs, data.responses]},
        test=_test_set(data, n_samples),
        variables=_atlases(data, inputs.shape[1:]),
    )
