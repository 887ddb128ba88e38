"""IDX files, the format of MNIST: a magic number, the dimensions, then the numbers, big-endian; plain or gzipped."""

from __future__ import annotations

import gzip
import math
import tempfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from igc.errors import DataError, MissingFileError, explain

__all__ = ["ELEMENT_TYPES", "encode_idx", "open_idx"]

ELEMENT_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""Element types by their code, the third byte of the file."""

_GZIP = b"\x1f\x8b"
_REMEDY = "fetch the file again, or name another one"


def encode_idx(values: npt.ArrayLike) -> bytes:
    """Return an array as the bytes of a plain IDX file.

    Parameters
    ----------
    values : array
        Of one of the :data:`ELEMENT_TYPES`, with 1 to 255 axes.

    Returns
    -------
    bytes

    Raises
    ------
    DataError
        If IDX has no such element type.
    """
    array = np.asarray(values)
    codes = {np.dtype(name).newbyteorder("="): code for code, name in ELEMENT_TYPES.items()}
    code = codes.get(array.dtype.newbyteorder("="))
    if code is None:
        raise DataError(explain("values", array.dtype, [str(kind) for kind in codes], "convert the array"))
    header = bytes([0, 0, code, array.ndim]) + np.asarray(array.shape, dtype=">u4").tobytes()
    return header + array.astype(ELEMENT_TYPES[code]).tobytes()


def _read_header(file: Path, stream: BinaryIO) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Read magic number and dimensions."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in ELEMENT_TYPES or magic[3] == 0:
        allowed = "00 00, an element type of 08 to 0e, and the number of dimensions"
        raise DataError(explain(file, f"magic number {magic.hex(' ') or 'missing'}", allowed, _REMEDY))
    dimensions = stream.read(4 * magic[3])
    if len(dimensions) < 4 * magic[3]:
        raise DataError(explain(file, "an end within the header", f"{magic[3]} dimensions", _REMEDY))
    shape = tuple(int(n) for n in np.frombuffer(dimensions, ">u4"))
    return np.dtype(ELEMENT_TYPES[magic[2]]), shape


def _check_length(file: Path, found: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Refuse a file whose content is shorter or longer than its header says."""
    expected = math.prod(shape) * dtype.itemsize
    if found != expected:
        seen = f"{found} bytes" if found < expected else f"more than {expected} bytes"
        allowed = f"{expected} bytes for dimensions {shape} of {dtype.name}"
        raise DataError(explain(file, f"{seen} of content", allowed, _REMEDY))


def _spool(stream: BinaryIO, spool: BinaryIO, limit: int) -> int:
    """Copy at most ``limit`` bytes and return how many there were."""
    copied = 0
    while copied < limit and (block := stream.read(min(1 << 20, limit - copied))):
        spool.write(block)
        copied += len(block)
    spool.flush()
    return copied


def _open_gzip(file: Path) -> npt.NDArray[Any]:
    """Decompress into an unnamed temporary file, so that memory stays bounded, and map that."""
    try:
        with gzip.open(file) as unpacked, tempfile.TemporaryFile() as spool:
            stream = cast("BinaryIO", unpacked)
            dtype, shape = _read_header(file, stream)
            expected = math.prod(shape) * dtype.itemsize
            # one byte more than expected tells a longer file, without unpacking all of what may follow
            _check_length(file, _spool(stream, spool, expected + 1), dtype, shape)
            return _mapped(spool, dtype, shape, 0)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(explain(file, f"damaged gzip ({error})", "a complete gzip file", _REMEDY)) from error


def _mapped(stream: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int) -> npt.NDArray[Any]:
    if math.prod(shape) == 0:
        return np.empty(shape, dtype)
    return np.memmap(stream, dtype=dtype, mode="r", offset=offset, shape=shape)


def open_idx(path: str | Path) -> npt.NDArray[Any]:
    """Open an IDX file without reading it into memory.

    Parameters
    ----------
    path : str or Path
        The file, plain or gzipped (told by its content, not its name).

    Returns
    -------
    numpy.ndarray
        A read-only memory map of the file, or of a temporary decompressed copy that vanishes with it.

    Raises
    ------
    MissingFileError
        If there is no such file.
    DataError
        If the magic number, the dimensions or the length are wrong, or the gzip stream is damaged.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(explain(file, "no such file", "an IDX file", "check the path, or run `igc fetch`"))
    with file.open("rb") as stream:
        if stream.read(2) == _GZIP:
            return _open_gzip(file)
        stream.seek(0)
        dtype, shape = _read_header(file, stream)
        offset = stream.tell()
        _check_length(file, file.stat().st_size - offset, dtype, shape)
        return _mapped(stream, dtype, shape, offset)
