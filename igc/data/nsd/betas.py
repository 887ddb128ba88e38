"""Single-trial responses of any space, in percent signal change, NaN where missing.

========================= ================================ ======================== =========================
file                      axes as read                     stored as                missing
========================= ================================ ======================== =========================
betas_sessionNN.hdf5      (trial, z, y, x), a chunk: all   int16, 300 = 1 percent   0 throughout a session
                          trials of a voxel
betas_sessionNN.nii.gz    (x, y, z, trial)                 int16, 300 = 1 percent   0 throughout a session
?h.betas_sessionNN.hdf5   (trial, vertex), a chunk: all    int16, 300 = 1 percent   0 throughout a session
                          trials of a vertex
?h.betas_sessionNN.mgh    (vertex, 1, 1, trial)            float32, percent         NaN
========================= ================================ ======================== =========================

The order of the components is that of ``np.argwhere`` over (x, y, z), or of the vertices, left hemisphere first,
whatever the file.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from igc.data.nsd.files import open_hdf5, open_mgh
from igc.data.nsd.layout import HEMISPHERES, TRIALS, Layout
from igc.data.volumes import load_image
from igc.errors import DataError, MissingFileError, ShapeError, explain

__all__ = ["SCALE", "BetaFiles", "Grid", "open_betas"]

SCALE = 300.0
"""What the integers of volumes and native surfaces are divided by to give percent."""

_VERTEX_BLOCK = 4096
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Form = Literal["hdf5", "nii.gz", "mgh"]


@dataclass(frozen=True)
class Grid:
    """What the components of a space are.

    Attributes
    ----------
    shape : tuple of int
        (x, y, z), or (vertex,) of both hemispheres, left first.
    n_left : int
        Vertices of the left hemisphere; 0 for volumes.
    """

    shape: tuple[int, ...]
    n_left: int = 0

    def index(self, mask: Mask) -> IntArray:
        """Return where the components inside a mask are.

        Parameters
        ----------
        mask : array of bool, of the grid's shape
            Components in use.

        Returns
        -------
        array of int64 (component, axis)
            x, y, z from 0, or hemisphere (0 left, 1 right) and vertex within it.
        """
        found = np.argwhere(mask).astype(np.int64)
        if len(self.shape) == 3:
            return found
        right = found[:, 0] >= self.n_left
        return np.stack([right.astype(np.int64), found[:, 0] - right * self.n_left], axis=1)


@dataclass(frozen=True)
class BetaFiles:
    """The sessions of one subject in one space and version; nothing is kept open.

    Attributes
    ----------
    layout : Layout
        Where they are.
    form : {"hdf5", "nii.gz", "mgh"}
        Which files are read.
    grid : Grid
        What the components are.
    sessions : list of int
        Those that are there, from 1.
    """

    layout: Layout
    form: Form
    grid: Grid
    sessions: list[int]

    def read(self, session: int, mask: Mask) -> FloatArray:
        """Read one session inside a mask, with memory for little more than the result.

        Parameters
        ----------
        session : int
            From 1.
        mask : array of bool, of the grid's shape
            Components to read.

        Returns
        -------
        array of float32 (trial, component)
            Percent signal change; NaN where missing.

        Raises
        ------
        MissingFileError, DataError, ShapeError
            If the session is not there, or its file is not what it should be.
        """
        if mask.shape != self.grid.shape:
            seen = f"a mask of shape {mask.shape}"
            raise ShapeError(explain(self.layout.betas, seen, f"{self.grid.shape}", "use a mask of the same space"))
        values = np.empty((TRIALS, np.count_nonzero(mask)), dtype=np.float32)
        for columns, block in self._blocks(session, mask):
            values[:, columns] = block
        if self.form == "mgh":
            return values
        values /= np.float32(SCALE)
        # a single 0 is a response of nothing; a session of zeros is a voxel that was not there
        values[:, ~values.any(axis=0)] = np.nan
        return values

    def _blocks(self, session: int, mask: Mask) -> Iterator[tuple[Any, npt.NDArray[Any]]]:
        """Yield columns of the result with their values (trial, column), as stored."""
        if self.form == "nii.gz":
            yield slice(None), _read_nifti(self._path(session), self.grid.shape, mask)
        elif not self.layout.is_surface:
            yield from _volume_blocks(self._path(session), self.grid.shape, mask)
        else:
            start = 0
            for hemisphere, part in zip(HEMISPHERES, np.split(mask, [self.grid.n_left]), strict=True):
                path = self._path(session, f"{hemisphere}.")
                blocks = _mgh_blocks(path, part) if self.form == "mgh" else _vertex_blocks(path, part)
                for columns, block in blocks:
                    yield columns + start, block
                start += int(np.count_nonzero(part))

    def _path(self, session: int, prefix: str = "") -> Path:
        return self.layout.betas / f"{prefix}betas_session{session:02d}.{self.form}"


def _check_integers(path: Path, dtype: Any, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise ShapeError(explain(path, f"shape {shape}", f"{expected}", "check the file, or get it again"))
    if np.dtype(dtype) != np.int16:
        allowed = "int16, 300 times the percent"
        raise DataError(explain(path, f"numbers of type {np.dtype(dtype)}", allowed, "get the original file"))


def _volume_blocks(path: Path, shape: tuple[int, ...], mask: Mask) -> Iterator[tuple[IntArray, npt.NDArray[np.int16]]]:
    """Read slab after slab in z, each within the bounding box of the mask there: all trials of a voxel are a chunk."""
    columns = np.full(shape, -1, dtype=np.int64)
    columns[mask] = np.arange(np.count_nonzero(mask))
    with open_hdf5(path, "betas") as stored:
        _check_integers(path, stored.dtype, stored.shape, (TRIALS, *shape[::-1]))
        for z in np.flatnonzero(mask.any(axis=(0, 1))):
            # the file's axes are those of the mask the other way round
            inside = mask[:, :, z].T
            rows, lines = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
            box = (slice(rows[0], rows[-1] + 1), slice(lines[0], lines[-1] + 1))
            slab = stored[(slice(None), int(z), *box)]
            yield columns[:, :, z].T[box][inside[box]], slab[:, inside[box]]


def _vertex_blocks(path: Path, mask: Mask) -> Iterator[tuple[IntArray, npt.NDArray[np.int16]]]:
    """Read runs of vertices, each between the first and the last one wanted."""
    vertices = np.flatnonzero(mask)
    with open_hdf5(path, "betas") as stored:
        _check_integers(path, stored.dtype, stored.shape, (TRIALS, len(mask)))
        for first in range(0, len(mask), _VERTEX_BLOCK):
            columns = np.flatnonzero((vertices >= first) & (vertices < first + _VERTEX_BLOCK))
            if len(columns):
                start, stop = vertices[columns[0]], vertices[columns[-1]] + 1
                yield columns, stored[:, start:stop][:, vertices[columns] - start]


def _mgh_blocks(path: Path, mask: Mask) -> Iterator[tuple[IntArray, FloatArray]]:
    """Read a file that is stored trial after trial, which is already in percent."""
    stored = open_mgh(path, TRIALS)
    if len(stored) != len(mask):
        raise ShapeError(explain(path, f"{len(stored)} vertices", f"{len(mask)}", "check the file, or get it again"))
    if stored.dtype.newbyteorder("=") != np.float32:
        raise DataError(
            explain(path, f"numbers of type {stored.dtype}", "float32, in percent", "get the original file")
        )
    vertices = np.flatnonzero(mask)
    values = np.empty((TRIALS, len(vertices)), dtype=np.float32)
    for trial in range(TRIALS):
        values[trial] = stored[:, trial][vertices]
    yield np.arange(len(vertices)), values


def _read_nifti(path: Path, shape: tuple[int, ...], mask: Mask) -> npt.NDArray[np.int16]:
    """Inflate a file trial by trial, keeping what is inside the mask: (trial, component)."""
    image = load_image(path, 4)
    dtype = image.header.get_data_dtype()
    _check_integers(path, dtype.newbyteorder("="), tuple(image.shape), (*shape, TRIALS))
    # stored x first; the result is in the order of np.argwhere, z first
    position = np.ravel_multi_index(tuple(np.argwhere(mask).T), shape, order="F")
    size = int(np.prod(shape)) * dtype.itemsize
    values = np.empty((TRIALS, np.count_nonzero(mask)), dtype=np.int16)
    try:
        # read as stored: the header of these files does not state the scale, and one that did would state the same
        with gzip.open(path, "rb") as stream:
            stream.seek(image.dataobj.offset)
            for trial in range(TRIALS):
                values[trial] = np.frombuffer(stream.read(size), dtype=dtype)[position]
    except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
        raise DataError(explain(path, f"damaged voxels ({error})", "a complete image", "get the file again")) from error
    return values


def _volume_grid(path: Path, form: str) -> Grid:
    if form == "nii.gz":
        return Grid(tuple(int(n) for n in load_image(path, 4).shape[:3]))
    with open_hdf5(path, "betas") as stored:
        if len(stored.shape) != 4:
            raise ShapeError(explain(path, f"shape {stored.shape}", "(trial, z, y, x)", "check the space and the file"))
        return Grid(tuple(int(n) for n in stored.shape[:0:-1]))


def _surface_grid(paths: list[Path], form: str) -> Grid:
    counts = []
    for path in paths:
        if form == "mgh":
            counts.append(len(open_mgh(path, TRIALS)))
            continue
        with open_hdf5(path, "betas") as stored:
            if len(stored.shape) != 2:
                raise ShapeError(explain(path, f"shape {stored.shape}", "(trial, vertex)", "check the space and file"))
            counts.append(int(stored.shape[1]))
    return Grid((sum(counts),), counts[0])


def open_betas(layout: Layout, form: Form | None = None) -> BetaFiles:
    """Find the responses of a subject, without reading them.

    Parameters
    ----------
    layout : Layout
        Where to look.
    form : {"hdf5", "nii.gz", "mgh"}, optional
        Which files; default: for volumes HDF5 where it is there, else NIfTI.

    Returns
    -------
    BetaFiles

    Raises
    ------
    MissingFileError, DataError, ShapeError
        If there are none, or the first session's file is not what it should be.
    """
    sessions = layout.sessions()
    forms: tuple[Form, ...] = ("mgh",) if layout.space == "fsaverage" else ("hdf5",)
    if not layout.is_surface:
        forms = ("hdf5", "nii.gz")
    if form is not None and form not in forms:
        raise DataError(explain(layout.space, f"files {form!r}", " or ".join(forms), "leave the form out"))
    prefix = "lh." if layout.is_surface else ""
    for candidate in forms if form is None else (form,):
        paths = [layout.betas / f"{prefix}betas_session{number:02d}.{candidate}" for number in sessions]
        if all(path.is_file() for path in paths):
            break
    else:
        missing = next(path for path in paths if not path.is_file())
        raise MissingFileError(explain(missing, "no such file", "one a session", "fetch it, or limit the sessions"))
    if layout.is_surface:
        first = [layout.betas / f"{side}.betas_session{sessions[0]:02d}.{candidate}" for side in HEMISPHERES]
        grid = _surface_grid(first, candidate)
    else:
        grid = _volume_grid(paths[0], candidate)
    return BetaFiles(layout, candidate, grid, sessions)
