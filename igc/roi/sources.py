"""ROI sets of a study from its configuration: atlases, masks, planted regions, or geometry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import xarray as xr
from nibabel.filebasedimages import ImageFileError

from igc.config import AtlasRois, HemisphereRois, MaskRois, QuadrantRois, RingRois, RoiSource, TruthRois, WardRois
from igc.errors import DataError, MissingFileError, ShapeError, explain
from igc.roi.sets import RoiSet, from_labels, from_masks
from igc.store.arrays import read_values

__all__ = ["SOURCES", "build_roi_set"]


def _component_shape(samples: xr.Dataset) -> tuple[int, ...]:
    return tuple(int(n) for n in samples["inputs"].shape[1:])


def _image_shape(name: str, samples: xr.Dataset) -> tuple[int, int, int]:
    """Return channels, rows and columns, or refuse."""
    shape = _component_shape(samples)
    if len(shape) != 3:
        message = explain(f"rois.{name}", f"inputs of shape {shape}", "images", "use this kind only for images")
        raise DataError(message)
    return shape[0], shape[1], shape[2]


def _labelled(name: str, variable: str, samples: xr.Dataset) -> RoiSet:
    array = samples[variable]
    return from_labels(name, read_values(array), array.attrs.get("regions", {}))


def atlas(name: str, source: AtlasRois, samples: xr.Dataset, seed: int) -> RoiSet:
    """Return the labels that came with the data.

    Parameters
    ----------
    name : str
        Name of the set.
    source : AtlasRois
        The block of the configuration; so for all functions of this module, each with its own block.
    samples : xarray.Dataset
        An opened samples store.
    seed : int
        Seed of the study.

    Returns
    -------
    RoiSet

    Raises
    ------
    DataError
        If the samples have no such atlas.
    """
    variable = f"atlas_{source.atlas}"
    if variable not in samples:
        known = sorted(str(key).removeprefix("atlas_") for key in samples if str(key).startswith("atlas_"))
        remedy = "add the atlas to the study's data and preprocess again"
        raise DataError(explain(f"rois.{name}.atlas", repr(source.atlas), f"one of {known}", remedy))
    return _labelled(name, variable, samples)


def truth(name: str, source: TruthRois, samples: xr.Dataset, seed: int) -> RoiSet:
    """Return the planted regions of a simulated study; parameters as in :func:`atlas`."""
    if "truth_regions" not in samples:
        seen = f"study {samples.attrs.get('study', '')!r} without planted regions"
        raise DataError(explain(f"rois.{name}", seen, "a simulated study", "use another kind of ROI set"))
    return _labelled(name, "truth_regions", samples)


def rings(name: str, source: RingRois, samples: xr.Dataset, seed: int) -> RoiSet:
    """Return concentric rings of equal width, the outermost with the corners; parameters as in :func:`atlas`."""
    shape = _image_shape(name, samples)
    row, column = np.indices(shape[1:], dtype=np.float64)
    radius = np.hypot(row - (shape[1] - 1) / 2, column - (shape[2] - 1) / 2)
    ring = np.floor(radius * (source.count / max(float(radius.max()), 0.5))).astype(np.int32)
    labels = np.minimum(ring, source.count - 1) + 1
    return from_labels(name, np.broadcast_to(labels, shape), {i: f"ring {i}" for i in range(1, source.count + 1)})


def quadrants(name: str, source: QuadrantRois, samples: xr.Dataset, seed: int) -> RoiSet:
    """Return the quadrants of an image; the middle line of an odd side is in the rest.

    Parameters are as in :func:`atlas`.
    """
    shape = _image_shape(name, samples)
    row, column = np.indices(shape[1:])
    below, right = 2 * row - (shape[1] - 1), 2 * column - (shape[2] - 1)
    labels = np.where((below == 0) | (right == 0), 0, 1 + 2 * (below > 0) + (right > 0))
    names = {1: "upper left", 2: "upper right", 3: "lower left", 4: "lower right"}
    return from_labels(name, np.broadcast_to(labels, shape), names)


def _geometry(name: str, samples: xr.Dataset) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the voxel indices (voxel, axis) and the affine (4, 4) of a volume study, or refuse."""
    if "voxel_index" not in samples or "affine" not in samples.attrs:
        seen = f"samples of kind {samples.attrs.get('kind')!r} without voxel positions"
        raise DataError(explain(f"rois.{name}", seen, "a volume", "use this kind only for volumes"))
    index = read_values(samples["voxel_index"]).astype(np.int64)
    return index, np.asarray(samples.attrs["affine"], dtype=np.float64)


def _world(index: npt.NDArray[np.int64], affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(index @ affine[:3, :3].T + affine[:3, 3], dtype=np.float64)


def hemispheres(name: str, source: HemisphereRois, samples: xr.Dataset, seed: int) -> RoiSet:
    """Return left (world x < 0, or below the mask's middle) and right; voxels on the plane are in the rest.

    Parameters are as in :func:`atlas`.
    """
    index, affine = _geometry(name, samples)
    if source.middle == "world":
        x = _world(index, affine)[:, 0]
    else:
        # the mask's middle is taken along the voxel axis nearest to left-right, which tilts with the head
        axis = int(np.argmax(np.abs(affine[0, :3])))
        along = index[:, axis].astype(np.float64)
        x = (along - (along.min() + along.max()) / 2) * affine[0, axis]
    on_plane = np.abs(x) <= 1e-6 * np.abs(affine[0, :3]).max()
    labels = np.where(on_plane, 0, np.where(x < 0, 1, 2))
    return from_labels(name, labels, {1: "left", 2: "right"})


def ward(name: str, source: WardRois, samples: xr.Dataset, seed: int) -> RoiSet:
    """Return spatially connected parcels of components with similar inputs; parameters as in :func:`atlas`.

    See :func:`igc.roi.parcellation.ward_labels`. Parcels are numbered from front to back, then left to right in
    volumes, and from top to bottom, then left to right in images.
    """
    from igc.roi.parcellation import ward_labels  # slow to import: clustering

    if "voxel_index" in samples:
        index, affine = _geometry(name, samples)
        x, y, z = np.round(_world(index, affine), 3).T
        labels = ward_labels(samples["inputs"], index, np.stack([-y, x, z], axis=1), source.count, seed, name)
        return from_labels(name, labels, {i: f"parcel {i}" for i in range(1, int(labels.max()) + 1)})
    shape = _image_shape(name, samples)
    index = np.indices(shape[1:]).reshape(2, -1).T
    labels = ward_labels(samples["inputs"], index, index.astype(np.float64), source.count, seed, name)
    names = {i: f"parcel {i}" for i in range(1, int(labels.max()) + 1)}
    return from_labels(name, np.broadcast_to(labels.reshape(shape[1:]), shape), names)


def _read_mask(where: str, path: str, samples: xr.Dataset) -> npt.NDArray[Any]:
    """Return a mask on the components of the samples."""
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(explain(f"{where} ({file})", "no such file", "a NIfTI or .npy file", "check the path"))
    shape = _component_shape(samples)
    try:
        if file.suffix == ".npy":
            mask = np.asarray(np.load(file, allow_pickle=False))
        else:
            image: Any = nibabel.load(file)
            _check_grid(where, file, image, samples)
            mask = np.asanyarray(image.dataobj).reshape(image.shape[:3])
    except (ImageFileError, EOFError, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        seen = f"an unreadable file ({error})"
        raise DataError(explain(f"{where} ({file})", seen, "a NIfTI or .npy file", "replace the file")) from error
    if mask.shape == shape:
        return mask
    if "voxel_index" in samples and mask.shape == tuple(samples.attrs["volume_shape"]):
        return np.asarray(mask[tuple(read_values(samples["voxel_index"]).astype(np.int64).T)])
    if len(shape) == 3 and mask.shape == shape[1:]:
        return np.broadcast_to(mask, shape)
    raise ShapeError(explain(f"{where} ({file})", f"shape {mask.shape}", f"shape {shape}", "resample the mask"))


def _check_grid(where: str, file: Path, image: Any, samples: xr.Dataset) -> None:
    """Refuse an image that does not lie on the grid of the samples."""
    _, affine = _geometry(where.removeprefix("rois."), samples)
    grid = tuple(samples.attrs["volume_shape"])
    if tuple(image.shape[:3]) != grid or any(n != 1 for n in image.shape[3:]):
        seen = f"a grid of {tuple(image.shape)} voxels"
        raise ShapeError(explain(f"{where} ({file})", seen, f"{grid}", "resample the mask to the data"))
    if not np.allclose(image.affine, affine, atol=1e-3):
        seen = "another affine than the data's"
        raise DataError(explain(f"{where} ({file})", seen, "the same grid", "resample the mask to the data"))


def masks(name: str, source: MaskRois, samples: xr.Dataset, seed: int) -> RoiSet:
    """Return the regions of mask files; parameters as in :func:`atlas`.

    Raises
    ------
    MissingFileError
        If a file is missing.
    DataError, ShapeError
        If a mask is unreadable, lies on another grid or overlaps another.
    """
    read = {key: _read_mask(f"rois.{name}.masks.{key}", path, samples) for key, path in source.masks.items()}
    return from_masks(name, read)


SOURCES: dict[str, Callable[[str, Any, xr.Dataset, int], RoiSet]] = {
    "atlas": atlas,
    "hemispheres": hemispheres,
    "masks": masks,
    "quadrants": quadrants,
    "rings": rings,
    "truth": truth,
    "ward": ward,
}
"""What makes the ROI set of each ``kind`` of :data:`igc.config.RoiSource`."""


def build_roi_set(name: str, source: RoiSource, samples: xr.Dataset, seed: int) -> RoiSet:
    """Make one ROI set of a study.

    Parameters
    ----------
    name : str
        Name of the set.
    source : RoiSource
        Its block of the configuration.
    samples : xarray.Dataset
        The study's samples, from :func:`igc.store.samples.open_samples`.
    seed : int
        Seed of the study; only computed parcels depend on it.

    Returns
    -------
    RoiSet

    Raises
    ------
    DataError
        If the data do not allow this kind; see the functions of :data:`SOURCES`.
    """
    return SOURCES[source.kind](name, source, samples, seed)
