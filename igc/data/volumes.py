"""NIfTI images and what must hold between them: dimensions, one grid, masks and atlases."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError

from igc.config import AtlasFiles
from igc.data.source import Variable
from igc.data.tables import read_regions
from igc.errors import DataError, MissingFileError, ShapeError, explain

__all__ = ["as_regions", "check_grid", "load_image", "read_atlas", "read_mask", "read_volumes", "repetition_time"]

_AFFINE_TOLERANCE = 1e-3
_LABEL_TOLERANCE = 1e-4
# what nibabel lets through when a file ends early or is not what its name says
_DAMAGE = (OSError, EOFError, ValueError, zlib.error, ImageFileError)


def load_image(path: str | Path, n_axes: int) -> Any:
    """Open an image without reading its voxels.

    Parameters
    ----------
    path : str or Path
        A NIfTI file.
    n_axes : int
        3 for one volume, 4 for a series. A fourth axis of length 1 is overlooked where a volume is wanted.

    Returns
    -------
    nibabel image

    Raises
    ------
    MissingFileError, DataError, ShapeError
        If there is no such file, it is not an image, or has another number of axes.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(explain(file, "no such file", "a NIfTI image", "check the path"))
    try:
        image: Any = nib.load(file)
        if n_axes == 3 and len(image.shape) == 4 and image.shape[3] == 1:
            image = image.slicer[..., 0]
    except _DAMAGE as error:
        raise DataError(explain(file, f"unreadable ({error})", "a NIfTI image", "check the file")) from error
    if len(image.shape) != n_axes:
        allowed = "4-D: (x, y, z, volume)" if n_axes == 4 else "3-D: (x, y, z)"
        raise ShapeError(explain(file, f"a {len(image.shape)}-D image {image.shape}", allowed, "name another image"))
    return image


def read_volumes(path: str | Path, image: Any, start: int | None = None, stop: int | None = None) -> npt.NDArray[Any]:
    """Read voxels of an image, for a series only those of some volumes.

    Parameters
    ----------
    path : str or Path
        Its file, for the message.
    image : nibabel image
        The image.
    start, stop : int, optional
        First volume, and the one after the last.

    Returns
    -------
    array (x, y, z) or (x, y, z, volume)

    Raises
    ------
    DataError
        If the file is truncated or damaged.
    """
    try:
        return np.asarray(image.dataobj if start is None else image.dataobj[..., start:stop])
    except _DAMAGE as error:
        raise DataError(explain(path, f"damaged voxels ({error})", "a complete image", "get the file again")) from error


def check_grid(path: str | Path, image: Any, reference_path: str | Path, reference: Any) -> None:
    """Refuse an image on another grid than the reference.

    Parameters
    ----------
    path, image
        The image, and its file for the message.
    reference_path, reference
        The image it must match in shape and affine (within 1e-3).

    Raises
    ------
    ShapeError, DataError
        If shape or affine differ.
    """
    expected = tuple(reference.shape[:3])
    remedy = "resample it to the grid of the data (label images with nearest neighbour)"
    if tuple(image.shape[:3]) != expected:
        raise ShapeError(explain(path, f"shape {image.shape[:3]}", f"{expected}, as {reference_path}", remedy))
    gap = float(np.max(np.abs(image.affine - reference.affine)))
    if not gap <= _AFFINE_TOLERANCE:
        seen = f"another grid (affines differ by up to {gap:.4g})"
        raise DataError(explain(path, seen, f"the affine of {reference_path}", remedy))


def read_mask(path: str | Path, reference_path: str | Path, reference: Any) -> npt.NDArray[np.bool_]:
    """Read a mask and check it.

    Parameters
    ----------
    path : str or Path
        3-D NIfTI; voxels above 0 are inside.
    reference_path, reference
        Image whose grid it must have.

    Returns
    -------
    array of bool (x, y, z)

    Raises
    ------
    DataError
        If it is on another grid or empty.
    """
    image = load_image(path, 3)
    check_grid(path, image, reference_path, reference)
    mask = np.asarray(read_volumes(path, image) > 0)
    if not mask.any():
        raise DataError(explain(path, "an empty mask", "at least one voxel above 0", "name another mask"))
    return mask


def as_regions(name: str, path: str | Path, values: npt.NDArray[Any], table: str | None) -> tuple[Any, dict[str, Any]]:
    """Check labels, and name them.

    Parameters
    ----------
    name : str
        Name of the atlas, for the message.
    path : str or Path
        File of the labels.
    values : array
        Labels; negative ones become 0.
    table : str or None
        Lookup table, which must name every label then; without, regions are called "label 7".

    Returns
    -------
    labels : array of int32
        Same shape.
    regions : dict
        For each label, as text, its ``name`` and ``color``.

    Raises
    ------
    DataError
        If a label is not a whole number or has no name, or there is none at all.
    """
    # labels that were stored with a scale come back with a rounding error
    whole = np.round(values)
    if (
        not np.all(np.isfinite(values))
        or np.any(np.abs(whole - values) > _LABEL_TOLERANCE)
        or np.any(np.abs(whole) > np.iinfo(np.int32).max)
    ):
        seen = "labels that are not whole numbers"
        raise DataError(explain(f"{path} (atlas {name})", seen, "whole numbers", "name a label image, not a map"))
    labels = np.maximum(whole, 0).astype(np.int32)
    codes = [int(code) for code in np.unique(labels) if code > 0]
    if not codes:
        raise DataError(explain(f"{path} (atlas {name})", "no label above 0", "at least one", "name another atlas"))
    if table is None:
        return labels, {str(code): {"name": f"label {code}", "color": None} for code in codes}
    known = read_regions(table)
    unnamed = [code for code in codes if code not in known]
    if unnamed:
        seen = f"no name for label {unnamed[0]} of atlas {name} ({len(unnamed)} such labels)"
        raise DataError(explain(table, seen, f"one row for each label in {path}", "complete the lookup table"))
    return labels, {str(code): known[code] for code in codes}


def read_atlas(
    name: str, files: AtlasFiles, mask: npt.NDArray[np.bool_], reference_path: str | Path, reference: Any
) -> Variable:
    """Read a label image at the voxels of the mask.

    Parameters
    ----------
    name : str
        Name of the atlas.
    files : AtlasFiles
        Label image and lookup table.
    mask : array of bool (x, y, z)
        Voxels in use.
    reference_path, reference
        Image whose grid it must have.

    Returns
    -------
    Variable
        Labels (voxel,) with the attribute ``regions``, which names the labels inside the mask.

    Raises
    ------
    DataError
        As :func:`check_grid` and :func:`as_regions`, or if no label lies inside the mask.
    """
    image = load_image(files.labels, 3)
    check_grid(files.labels, image, reference_path, reference)
    labels, regions = as_regions(name, files.labels, read_volumes(files.labels, image), files.table)
    inside = labels[mask]
    if not inside.any():
        seen = "no label inside the mask"
        raise DataError(explain(f"{files.labels} (atlas {name})", seen, "at least one", "name another atlas or mask"))
    present = {str(code) for code in np.unique(inside)}
    return Variable(("voxel",), inside, {"regions": {code: r for code, r in regions.items() if code in present}})


def repetition_time(path: str | Path, image: Any) -> float:
    """Return the seconds between volumes that the header states.

    Parameters
    ----------
    path, image
        A 4-D image, and its file for the message.

    Returns
    -------
    float

    Raises
    ------
    DataError
        If the header does not say: the value is not positive, or is 1 without a unit, which is what writers put
        when they do not know.
    """
    value = float(image.header.get_zooms()[3])
    unit = image.header.get_xyzt_units()[1]
    if not np.isfinite(value) or value <= 0 or (unit == "unknown" and value == 1):
        seen = f"no repetition time in the header ({value:g} {unit})"
        raise DataError(explain(path, seen, "seconds between volumes", "set data.repetition_time"))
    return value * {"msec": 1e-3, "usec": 1e-6}.get(unit, 1.0)
