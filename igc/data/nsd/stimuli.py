"""The images, read by their numbers; and smaller versions of them, by exact averages over areas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from igc.data.nsd.files import open_hdf5
from igc.errors import DataError, ShapeError, explain

__all__ = ["Stimuli", "area_weights", "open_stimuli"]

IntArray = npt.NDArray[np.int64]
Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Stimuli:
    """The images of the experiment; the file is open only while it is read.

    Attributes
    ----------
    path : Path
        ``nsd_stimuli.hdf5``.
    shape : tuple of int
        (image, row, column, channel): (73000, 425, 425, 3) in the public dataset.
    """

    path: Path
    shape: tuple[int, int, int, int]

    def read(self, numbers: IntArray) -> Images:
        """Read images.

        Parameters
        ----------
        numbers : array of int (image,)
            Positions among all images, from 0; in any order, also twice.

        Returns
        -------
        array of uint8 (image, row, column, channel)
            Red, green, blue.

        Raises
        ------
        DataError
            If there is no such image.
        """
        wanted, inverse = np.unique(np.asarray(numbers, dtype=np.int64), return_inverse=True)
        if len(wanted) and not 0 <= wanted[0] <= wanted[-1] < self.shape[0]:
            seen = f"image {wanted[0] if wanted[0] < 0 else wanted[-1]}"
            raise DataError(explain(self.path, seen, f"0 to {self.shape[0] - 1}", "numbers count from 0 here"))
        with open_hdf5(self.path, "imgBrick") as stored:
            # one image after the other: a list of positions is slow in HDF5
            images = [stored[int(number)] for number in wanted]
        return np.stack(images)[inverse] if images else np.empty((0, *self.shape[1:]), np.uint8)


def open_stimuli(path: Path) -> Stimuli:
    """Open the images without reading them.

    Parameters
    ----------
    path : Path
        ``nsd_stimuli.hdf5``.

    Returns
    -------
    Stimuli

    Raises
    ------
    MissingFileError, DataError, ShapeError
        If the file is not there, or holds something else.
    """
    with open_hdf5(path, "imgBrick") as stored:
        shape, dtype = stored.shape, stored.dtype
    if len(shape) != 4 or shape[3] != 3 or dtype != np.uint8:
        seen = f"{dtype} of shape {shape}"
        raise ShapeError(explain(path, seen, "uint8 (image, row, column, 3)", "get the original file"))
    count, rows, columns, channels = (int(n) for n in shape)
    return Stimuli(path, (count, rows, columns, channels))


def area_weights(size: int, smaller: int) -> npt.NDArray[np.float64]:
    """Return what each pixel of an axis adds to each pixel of a coarser one.

    Parameters
    ----------
    size, smaller : int
        Pixels before and after.

    Returns
    -------
    array of float64 (pixel after, pixel before)
        Rows sum to 1: averages over areas, in which a pixel that is cut counts by its share.

    Raises
    ------
    DataError
        If the image would grow.
    """
    if not 1 <= smaller <= size:
        raise DataError(explain("image size", smaller, f"1 to {size}", "choose a size no larger than the images"))
    edges = np.arange(smaller + 1) * (size / smaller)
    pixel = np.arange(size)
    overlap = np.minimum(edges[1:, np.newaxis], pixel + 1) - np.maximum(edges[:-1, np.newaxis], pixel)
    return np.asarray(np.maximum(overlap, 0.0) * (smaller / size))
