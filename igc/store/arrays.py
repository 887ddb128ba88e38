"""Zarr folders: written chunk by chunk with a checksum on every chunk, opened lazily as xarray datasets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from igc.errors import ChecksumError, MissingFileError, StoreError, explain
from igc.store.atomic import replacing
from igc.store.checked import CheckedStore

__all__ = [
    "CHUNK_BYTES",
    "StoreWriter",
    "create_store",
    "open_store",
    "read_values",
    "save_dataset",
    "store_digest",
    "store_path",
]

CHUNK_BYTES = 4 << 20
"""Uncompressed size of a chunk that is aimed at, in bytes."""


def store_path(path: str | Path) -> Path:
    """Return the folder of a store, also when its ``zarr.json`` was named (the file a workflow watches)."""
    folder = Path(path)
    return folder.parent if folder.name == "zarr.json" else folder


class StoreWriter:
    """Writes arrays into a zarr folder that is being made; use :func:`create_store`."""

    def __init__(self, folder: Path) -> None:
        self._group = zarr.open_group(folder, mode="w", zarr_format=3)
        self._arrays: dict[str, zarr.Array[Any]] = {}

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes (JSON values) to the store."""
        self._group.attrs.update(dict(attributes))

    def add(
        self,
        name: str,
        dims: Sequence[str],
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Declare an array, chunked along its first axis in pieces of about :data:`CHUNK_BYTES`.

        Parameters
        ----------
        name : str
            Name of the variable.
        dims : sequence of str
            A name for each axis.
        shape : sequence of int
            Its length along each axis.
        dtype : data type
            Type of its elements.
        attributes : mapping, optional
            JSON values to keep with the variable.
        """
        row = int(np.prod(shape[1:], dtype=np.int64)) * np.dtype(dtype).itemsize
        rows = max(1, min(shape[0] or 1, CHUNK_BYTES // max(row, 1))) if shape else 1
        self._arrays[name] = self._group.create_array(
            name,
            shape=tuple(shape),
            dtype=np.dtype(dtype),
            chunks=(rows, *(max(1, n) for n in shape[1:])) if shape else (),
            dimension_names=tuple(dims),
            compressors=(ZstdCodec(level=3), Crc32cCodec()),
            attributes=dict(attributes or {}),
            fill_value=np.zeros((), np.dtype(dtype)).item(),
            # all are written, also those of zeros only, so that a lost one is noticed
            config={"write_empty_chunks": True},
        )

    def chunk_rows(self, name: str) -> int:
        """Return how many rows of the first axis make a chunk of a variable; write in multiples of it."""
        return int(self._arrays[name].chunks[0])

    def write(self, name: str, start: int, values: npt.ArrayLike) -> None:
        """Write rows of a declared variable.

        Parameters
        ----------
        name : str
            Name of the variable.
        start : int
            First row.
        values : array (row, ...)
            The rows.
        """
        block = np.asarray(values)
        array = self._arrays[name]
        if array.ndim == 0:
            array[...] = block
        else:
            array[start : start + len(block)] = block

    def put(self, name: str, dims: Sequence[str], values: npt.ArrayLike, **attributes: Any) -> None:
        """Declare and write a small variable at once."""
        block = np.asarray(values)
        self.add(name, dims, block.shape, block.dtype, attributes)
        self.write(name, 0, block)


@contextmanager
def create_store(path: str | Path) -> Iterator[StoreWriter]:
    """Make a zarr folder, which appears under its name only when it is complete.

    Parameters
    ----------
    path : str or Path
        The folder to make, by custom ending in ``.zarr``; one that stands there is replaced.

    Yields
    ------
    StoreWriter
        Declares and writes the arrays.
    """
    with replacing(store_path(path)) as temporary:
        yield StoreWriter(temporary)


def save_dataset(dataset: xr.Dataset, path: str | Path) -> None:
    """Write a dataset that fits into memory, for example a result.

    Parameters
    ----------
    dataset : xarray.Dataset
        Numeric variables; coordinates of strings are kept as attributes of the store.
    path : str or Path
        The folder to make.
    """
    with create_store(path) as store:
        labels: dict[str, list[str]] = {}
        for name, variable in dataset.variables.items():
            if variable.dtype.kind in "OUT":
                labels[str(name)] = [str(value) for value in np.atleast_1d(variable.values)]
                labels[f"{name} dims"] = [str(dim) for dim in variable.dims]
            else:
                store.put(str(name), [str(dim) for dim in variable.dims], variable.values, **variable.attrs)
        coordinates = [str(name) for name in dataset.coords if str(name) not in labels]
        store.set_attributes({**dataset.attrs, "igc_labels": labels, "igc_coordinates": coordinates})


def open_store(path: str | Path) -> xr.Dataset:
    """Open a zarr folder without reading its arrays.

    Parameters
    ----------
    path : str or Path
        The folder, or the ``zarr.json`` in it.

    Returns
    -------
    xarray.Dataset
        Variables are read when they are indexed, chunk by chunk, and their checksums verified then.

    Raises
    ------
    MissingFileError
        If there is no such folder.
    StoreError
        If it is not a complete zarr folder.
    """
    folder = store_path(path)
    if not folder.is_dir():
        raise MissingFileError(explain(folder, "no such folder", "a zarr store", "make it with the step before"))
    try:
        store = CheckedStore(folder, read_only=True)
        dataset = xr.open_zarr(store, chunks=None, consolidated=False, decode_cf=False)
    except (KeyError, ValueError, FileNotFoundError, zarr.errors.BaseZarrError) as error:
        remedy = "check the path, or make it again with the step before"
        message = explain(folder, f"an unreadable store ({error})", "a complete zarr store", remedy)
        raise StoreError(message) from error
    labels = dataset.attrs.pop("igc_labels", {})
    names = dataset.attrs.pop("igc_coordinates", [])
    strings = {
        key: (labels[f"{key} dims"], np.asarray(values, dtype=object).reshape(-1 if labels[f"{key} dims"] else ()))
        for key, values in labels.items()
        if not key.endswith(" dims")
    }
    labelled: xr.Dataset = dataset.set_coords([name for name in names if name in dataset]).assign_coords(strings)
    return labelled


def read_values(array: xr.DataArray, rows: slice | npt.NDArray[np.int64] | None = None) -> npt.NDArray[Any]:
    """Read (rows of) a variable, checking the stored bytes.

    Parameters
    ----------
    array : xarray.DataArray
        A variable of an opened store.
    rows : slice or array of int, optional
        Rows of the first axis; default: all.

    Returns
    -------
    numpy.ndarray
        The values.

    Raises
    ------
    ChecksumError
        If a chunk's bytes are not those that were written.
    """
    try:
        return np.asarray(array.values if rows is None else array[rows].values)
    except (ValueError, RuntimeError) as error:
        where = array.encoding.get("source", array.name)
        message = explain(where, f"damaged data ({error})", "the bytes that were written", "delete it and run again")
        raise ChecksumError(message) from error


def store_digest(path: str | Path) -> str:
    """Return a digest of the content of a store, without reading it all.

    Every chunk file ends with the CRC-32C of its bytes, so names and last four bytes tell the content.

    Parameters
    ----------
    path : str or Path
        The folder, or the ``zarr.json`` in it.

    Returns
    -------
    str
        Hexadecimal SHA-256.
    """
    folder = store_path(path)
    total = hashlib.sha256()
    for file in sorted(item for item in folder.rglob("*") if item.is_file()):
        total.update(file.relative_to(folder).as_posix().encode())
        if file.name == "zarr.json":
            total.update(file.read_bytes())
            continue
        with file.open("rb") as opened:
            opened.seek(-min(4, file.stat().st_size), 2)
            total.update(opened.read())
    return total.hexdigest()
