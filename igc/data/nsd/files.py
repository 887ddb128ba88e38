"""Opening HDF5 and MGH files with errors that say which file, what was found and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError

from igc.errors import DataError, MissingFileError, ShapeError, explain

__all__ = ["open_hdf5", "open_mgh", "read_surface"]


@contextmanager
def open_hdf5(path: Path, name: str) -> Iterator[Any]:
    """Open one array of an HDF5 file without reading it.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Name of the array.

    Yields
    ------
    h5py.Dataset

    Raises
    ------
    MissingFileError, DataError
        If the file or the array is not there, or the file is damaged.
    """
    if not path.is_file():
        raise MissingFileError(explain(path, "no such file", "an HDF5 file", "check the folder, or fetch it"))
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(explain(path, f"unreadable ({error})", "an HDF5 file", "get the file again")) from error
    with file:
        if name not in file:
            raise DataError(explain(path, f"arrays {list(file)}", f"one called {name}", "get the file again"))
        yield file[name]


def open_mgh(path: Path, n_frames: int | None = None) -> npt.NDArray[Any]:
    """Open values on the vertices of a surface; an uncompressed file is mapped into memory.

    Parameters
    ----------
    path : Path
        A ``.mgh`` or ``.mgz`` file, whose axes are (vertex, 1, 1, frame) or (1, 1, vertex).
    n_frames : int, optional
        Number of frames there must be; default: one, without an axis of its own.

    Returns
    -------
    array (vertex,) or (vertex, frame)

    Raises
    ------
    MissingFileError, DataError, ShapeError
        If there is no such file, it is damaged, or has other axes.
    """
    if not path.is_file():
        raise MissingFileError(explain(path, "no such file", "an MGH file", "check the folder, or fetch it"))
    try:
        image: Any = nib.load(path)
        values: npt.NDArray[Any] = np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError, ImageFileError) as error:
        raise DataError(explain(path, f"unreadable ({error})", "an MGH file", "get the file again")) from error
    frames = values.shape[3] if values.ndim == 4 else 1
    # some writers put the vertices on the last of the three axes
    long = max(values.shape[:3])
    if values.size != long * frames or frames != (n_frames or 1):
        allowed = f"(vertex, 1, 1{', ' + str(n_frames) if n_frames else ''})"
        raise ShapeError(explain(path, f"shape {values.shape}", allowed, "name a file of one value a vertex"))
    return values.reshape(long) if n_frames is None else values.reshape((long, frames), order="F")


def read_surface(lh: Path, rh: Path) -> tuple[npt.NDArray[Any], int]:
    """Read both hemispheres, left first.

    Parameters
    ----------
    lh, rh : Path
        Files of one value a vertex.

    Returns
    -------
    values : array (vertex,)
    n_left : int
        Number of vertices of the left hemisphere.
    """
    left, right = open_mgh(lh), open_mgh(rh)
    return np.concatenate([left, right]), len(left)
