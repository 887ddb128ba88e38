"""Maps made elsewhere: npy, zarr and NIfTI files, brought into the shape of the maps of a study."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr

from igc.errors import DataError, MissingFileError, ShapeError, explain
from igc.store.arrays import read_values
from igc.store.results import open_result

__all__ = ["read_maps"]

Array = npt.NDArray[np.float64]

NEAR = 1e-3
"""Largest difference of two affines that are the same, in mm."""


def read_maps(path: str | Path, samples: xr.Dataset) -> Array:
    """Read one map a target.

    Parameters
    ----------
    path : str or Path
        ``.npy`` or a zarr array, (target, component...), or (component...) where there is one target; an axis of a
        single channel may be left out. NIfTI on the grid of the samples, (x, y, z, target) or (x, y, z): voxels
        outside the mask are left out. Or a zarr group with ``attribution``, as :func:`igc.attribute` makes it.
    samples : xarray.Dataset
        Opened samples.

    Returns
    -------
    array (target, component...)

    Raises
    ------
    MissingFileError
        If there is no such file.
    DataError, ShapeError, StoreError
        If it cannot be read, has another shape, other targets or another grid, or holds NaN or infinity.
    """
    file = Path(path)
    if not file.exists():
        raise MissingFileError(explain(file, "no such file", "a map as .npy, .zarr or NIfTI", "check the path"))
    values = _read(file, samples)
    shape, n = tuple(samples["inputs"].shape[1:]), samples.sizes["target"]
    whole = (n, *shape)
    fitting = {whole, *([shape] if n == 1 else [])}
    if shape[0] == 1 and len(shape) == 3:
        fitting |= {(n, *shape[1:]), *([shape[1:]] if n == 1 else [])}
    if values.shape not in fitting:
        remedy = "give one map a target, in the order of the targets"
        raise ShapeError(explain(file, f"an array of shape {values.shape}", f"{whole}: target, component", remedy))
    if not np.isfinite(values).all():
        seen = f"{int((~np.isfinite(values)).sum())} values that are NaN or infinite"
        raise DataError(explain(file, seen, "finite numbers", "put 0 where a map says nothing"))
    return values.reshape(whole)


def _read(file: Path, samples: xr.Dataset) -> Array:
    try:
        if file.is_dir():
            return _read_zarr(file, samples)
        if file.name.endswith((".nii", ".nii.gz")):
            return _read_nifti(file, samples)
        array = np.load(file, allow_pickle=False)
    except (
        ValueError,
        KeyError,
        EOFError,
        OSError,
        nib.filebasedimages.ImageFileError,
        zarr.errors.BaseZarrError,
    ) as e:
        if isinstance(e, (ShapeError, DataError)):
            raise
        raise DataError(explain(file, f"unreadable ({e})", "an array of numbers", "save it again")) from e
    if not isinstance(array, np.ndarray):
        array.close()
        raise DataError(explain(file, "an .npz archive", "a .npy array", "save the array with numpy.save"))
    return _numbers(file, array)


def _numbers(file: Path, array: npt.NDArray[np.generic]) -> Array:
    if array.dtype.kind not in "buif":
        raise DataError(explain(file, f"elements of type {array.dtype}", "real numbers", "convert the array"))
    return np.asarray(array, dtype=np.float64)


def _read_zarr(file: Path, samples: xr.Dataset) -> Array:
    node = zarr.open(file, mode="r")
    if isinstance(node, zarr.Array):
        return _numbers(file, np.asarray(node[...]))
    result = open_result(file)
    names, wanted = ([str(name) for name in one["target"].values] for one in (result, samples))
    if "attribution" not in result or names != wanted:
        seen = f"maps of {', '.join(names[:4])}" if "attribution" in result else "maps of several inputs"
        raise DataError(explain(file, seen, f"of the targets {', '.join(wanted[:4])}", "give the maps of this study"))
    return _numbers(file, read_values(result["attribution"]))


def _read_nifti(file: Path, samples: xr.Dataset) -> Array:
    if "voxel_index" not in samples:
        raise DataError(explain(file, "a volume", "an array, since samples have no voxels", "give .npy or .zarr"))
    image = nib.load(file)
    grid = tuple(samples.attrs["volume_shape"])
    seen = f"a volume of {tuple(image.shape)}"
    if tuple(image.shape[:3]) != grid or len(image.shape) > 4:
        raise ShapeError(explain(file, seen, f"{grid}, and targets last", "resample the map to the data"))
    if not np.allclose(image.affine, np.asarray(samples.attrs["affine"]), atol=NEAR, rtol=0):
        raise ShapeError(explain(file, "a volume in another place", "the affine of the data", "resample the map"))
    values = np.asarray(image.dataobj, dtype=np.float64)
    index = read_values(samples["voxel_index"]).astype(np.int64)
    inside = values[tuple(index.T)]
    return inside if inside.ndim == 1 else np.ascontiguousarray(inside.T)
