"""Maps of voxels: slices over the mean image with left and right as in the world, and NIfTI files."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patheffects import withStroke
from nibabel.affines import voxel_sizes

from igc.report.images import label_edges, paint_labels
from igc.report.style import DIVERGING, INK
from igc.store.arrays import read_values
from igc.store.atomic import replacing

__all__ = ["AIR", "FADE", "Geometry", "MosaicPainter", "SlicePainter", "strongest_slices", "write_volume"]

FADE = 0.25
"""Share of the colour limit below which a map fades into the background, so that anatomy stays visible."""

AIR = 0.2
"""Share of the brightest background below which a voxel is taken as outside the head and left white."""

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of a study lie.

    Attributes
    ----------
    affine : array (4, 4)
        Voxel indices to millimetres, of the input images.
    shape : tuple of int
        Shape (x, y, z) of the volume.
    voxel_index : array (voxel, axis)
        Indices of each component.
    background : array (x, y, z)
        The mean image.
    """

    affine: Floats
    shape: tuple[int, int, int]
    voxel_index: Labels
    background: Floats

    @classmethod
    def of(cls, samples: xr.Dataset) -> Geometry:
        """Read the geometry of samples of kind "volume"."""
        shape = tuple(int(n) for n in samples.attrs["volume_shape"])
        background = samples.get("background")
        return cls(
            affine=np.asarray(samples.attrs["affine"], dtype=np.float64),
            shape=(shape[0], shape[1], shape[2]),
            voxel_index=read_values(samples["voxel_index"]).astype(np.int64),
            background=np.zeros(shape) if background is None else read_values(background).astype(np.float64),
        )

    def embed(self, values: npt.NDArray[np.float64], outside: float = 0.0) -> Floats:
        """Put values (..., voxel) into volumes (..., x, y, z)."""
        volume = np.full((*values.shape[:-1], *self.shape), outside)
        volume[(..., *self.voxel_index.T)] = values
        return volume

    def canonical(self, volume: Floats) -> tuple[Floats, Floats]:
        """Return a volume (x, y, z) and its affine with axes running right, forwards and up."""
        image = nib.as_closest_canonical(nib.Nifti1Image(volume, self.affine))
        return np.asarray(image.dataobj, dtype=np.float64), np.asarray(image.affine, dtype=np.float64)

    def bounding_box(self) -> tuple[slice, slice, slice]:
        """Return the canonical box around all voxels and the visible background."""
        background, _ = self.canonical(self.background)
        inside, _ = self.canonical(self.embed(np.ones(len(self.voxel_index))))
        filled = np.argwhere((inside > 0) | (background > AIR * float(np.quantile(background, 0.99)) + 1e-12))
        low, high = filled.min(axis=0), filled.max(axis=0) + 1
        return (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2])))

    @property
    def flat_axis(self) -> int | None:
        """The canonical axis along which there is a single slice, or None."""
        flat = [axis for axis, n in enumerate(self.canonical(np.zeros(self.shape))[0].shape) if n == 1]
        return flat[0] if flat else None


def write_volume(values: npt.NDArray[np.float64], geometry: Geometry, path: str | Path, description: str = "") -> None:
    """Write maps as a NIfTI file with the affine of the input.

    Parameters
    ----------
    values : array (target, voxel)
        One map a target.
    geometry : Geometry
        Where the voxels lie; outside them the volume is 0.
    path : str or Path
        A file name ending in ``.nii.gz``; its content is (x, y, z, target), float32.
    description : str
        Free text for the header, cut after 79 characters.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    volume = np.moveaxis(geometry.embed(values), 0, -1).astype(np.float32)
    image = nib.Nifti1Image(volume, geometry.affine)
    image.header["descrip"] = description.encode("ascii", "replace")[:79]
    image.header.set_xyzt_units("mm")
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), mtime=0))


def strongest_slices(maps: Floats, geometry: Geometry, axis: int, count: int) -> list[int]:
    """Return the slices with the largest sum of |map|, kept apart from each other, in ascending order.

    Parameters
    ----------
    maps : array (map, voxel)
        All maps that will be shown in these slices.
    geometry : Geometry
        Where the voxels lie.
    axis : int
        Canonical axis: 0 sagittal, 1 coronal, 2 axial.
    count : int
        Number of slices wanted.

    Returns
    -------
    list of int
        Canonical indices, at most ``count``.
    """
    volume, _ = geometry.canonical(geometry.embed(np.nan_to_num(np.abs(maps)).sum(axis=0)))
    strength = volume.sum(axis=tuple(other for other in range(3) if other != axis))
    filled = np.flatnonzero(strength > 0)
    if not filled.size:
        return [volume.shape[axis] // 2]
    apart = max(1, (filled[-1] - filled[0] + 1) // (2 * count))
    chosen: list[int] = []
    for index in np.argsort(-strength, kind="stable"):
        if strength[index] > 0 and len(chosen) < count and all(abs(index - other) >= apart for other in chosen):
            chosen.append(int(index))
    return sorted(chosen)


_PLANES = {0: ((1, 2), "PA"), 1: ((0, 2), "LR"), 2: ((0, 1), "LR")}


class SlicePainter:
    """Draws one slice of a map over the mean image, in millimetres, left of the brain on the left.

    Parameters
    ----------
    geometry : Geometry
        Where the voxels lie.
    axis, index : int
        Canonical axis across the slice, and the slice's index along it.
    width : float
        Wanted panel width in inches.
    outlines : array (voxel), optional
        Labels of regions whose borders are drawn over the maps.
    """

    def __init__(
        self, geometry: Geometry, axis: int = 2, index: int = 0, width: float = 2.2, outlines: Labels | None = None
    ) -> None:
        self._geometry, self._axis, self._index, self._outlines = geometry, axis, index, outlines
        (across, up), self.sides = _PLANES[axis]
        volume, affine = geometry.canonical(geometry.background)
        self._box = geometry.bounding_box()
        steps = voxel_sizes(affine)
        # an oblique image is shown on its own grid: only the directions of its axes are the world's
        low = [float(affine[i, 3] + steps[i] * (self._box[i].start - 0.5)) for i in (across, up)]
        high = [float(affine[i, 3] + steps[i] * (self._box[i].stop - 0.5)) for i in (across, up)]
        shades = self.cut(volume)
        self._top = float(np.quantile(volume, 0.99)) or 1.0
        inside = self.cut(geometry.canonical(geometry.embed(np.ones(len(geometry.voxel_index))))[0])
        self._background = np.ma.masked_where((shades < AIR * self._top) & (inside == 0), shades)
        self.extent = (low[0], high[0], low[1], high[1])
        self.millimetres = float(affine[axis, 3] + steps[axis] * index)
        self.width = width
        self.aspect = (high[1] - low[1]) / (high[0] - low[0])

    def cut(self, volume: Floats) -> Floats:
        """Return the slice (up, across) of a canonical volume."""
        box = list(self._box)
        box[self._axis] = slice(self._index, self._index + 1)
        return np.asarray(np.take(volume[tuple(box)], 0, axis=self._axis).T, dtype=np.float64)

    def draw(self, axes: Axes, target: int, values: npt.NDArray[np.float64], limit: float) -> None:
        """Draw one map (voxel); see :class:`igc.report.panels.Painter`."""
        del target
        self._show(axes, self._background, cmap="gray", vmin=-0.5 * self._top, vmax=1.1 * self._top)
        image = self.cut(self._geometry.canonical(self._geometry.embed(values, np.nan))[0])
        alpha = np.clip(np.abs(np.nan_to_num(image)) / (FADE * limit), 0, 1)
        self._show(axes, np.ma.masked_invalid(image), cmap=DIVERGING, vmin=-limit, vmax=limit, alpha=alpha)
        if self._outlines is not None:
            self._borders(axes, self._pick(self._outlines), 0.45)
        self._finish(axes)

    def draw_values(
        self, axes: Axes, values: npt.NDArray[np.float64], colours: str, limits: tuple[float, float], cyclic: bool
    ) -> None:
        """Draw values (voxel); see :class:`igc.report.places.ValuePainter`."""
        del cyclic
        self._show(axes, self._background, cmap="gray", vmin=-0.5 * self._top, vmax=1.1 * self._top)
        # embedding marks the outside by NaN, and what has no value is as transparent as that
        image = self.cut(self._geometry.canonical(self._geometry.embed(values, np.nan))[0])
        self._show(axes, np.ma.masked_invalid(image), cmap=colours, vmin=limits[0], vmax=limits[1])
        self._finish(axes)

    def draw_regions(self, axes: Axes, labels: Labels, colours: Mapping[int, str]) -> None:
        """Draw the regions of an ROI set, labels (voxel), with their outlines; 0 is left as background."""
        self._show(axes, self._background, cmap="gray", vmin=-0.5 * self._top, vmax=1.1 * self._top)
        picture = self._pick(labels)
        self._show(axes, paint_labels(picture, colours))
        self._borders(axes, picture, 0.6)
        self._finish(axes)

    def _pick(self, labels: Labels) -> Labels:
        """Return the labels of the slice's pixels."""
        volume, _ = self._geometry.canonical(self._geometry.embed(np.asarray(labels, dtype=np.float64)))
        return np.asarray(self.cut(volume).round(), dtype=np.int64)

    def _borders(self, axes: Axes, picture: Labels, linewidth: float) -> None:
        size = (
            (self.extent[1] - self.extent[0]) / picture.shape[1],
            (self.extent[3] - self.extent[2]) / picture.shape[0],
        )
        low = (self.extent[0] + size[0] / 2, self.extent[2] + size[1] / 2)
        edges = [[(low[0] + x * size[0], low[1] + y * size[1]) for x, y in ends] for ends in label_edges(picture)]
        axes.add_collection(LineCollection(edges, colors=INK, linewidths=linewidth))

    def _show(self, axes: Axes, picture: npt.NDArray[Any], **style: Any) -> None:
        axes.imshow(picture, origin="lower", extent=self.extent, aspect="auto", **style)

    def _finish(self, axes: Axes) -> None:
        axes.set(xticks=[], yticks=[])
        for side, position, align in ((self.sides[0], 0.03, "left"), (self.sides[1], 0.97, "right")):
            label = axes.text(position, 0.05, side, size=7, color=INK, ha=align, va="bottom")
            label.set_transform(axes.transAxes)
            label.set_path_effects([withStroke(linewidth=1.2, foreground="white")])
        for spine in axes.spines.values():
            spine.set_visible(False)


class MosaicPainter(SlicePainter):
    """Draws several axial slices of a map over the mean image, with nilearn; regions in the slice of ``index``.

    Parameters
    ----------
    geometry : Geometry
        Where the voxels lie.
    slices : list of int
        Canonical indices of the slices, the same in all panels.
    index : int
        The slice for regions.
    width : float
        Wanted panel width in inches.
    outlines : array (voxel), optional
        Labels of regions whose borders are drawn over the maps.
    """

    def __init__(
        self,
        geometry: Geometry,
        slices: list[int],
        index: int = 0,
        width: float = 9.4,
        outlines: Labels | None = None,
    ) -> None:
        super().__init__(geometry, 2, index, outlines=outlines)
        volume, affine = geometry.canonical(geometry.background)
        self._image = nib.Nifti1Image(volume, affine)
        steps = voxel_sizes(affine)
        self.cuts = [float(affine[2, 3] + steps[2] * index) for index in slices]
        self.width = width
        self.aspect = volume.shape[1] * steps[1] / (volume.shape[0] * steps[0] * len(slices))

    def draw(self, axes: Axes, target: int, values: npt.NDArray[np.float64], limit: float) -> None:
        """Draw one map (voxel); see :class:`igc.report.panels.Painter`."""
        from nilearn.plotting import plot_stat_map  # slow to import, and most studies have no volume

        del target
        volume, affine = self._geometry.canonical(self._geometry.embed(values))
        display = plot_stat_map(
            nib.Nifti1Image(volume, affine),
            bg_img=self._image,
            display_mode="z",
            cut_coords=self.cuts,
            figure=axes.figure,
            axes=axes,
            cmap=DIVERGING,
            vmin=-limit,
            vmax=limit,
            symmetric_cbar=True,
            colorbar=False,
            annotate=False,
            black_bg=False,
            transparency=nib.Nifti1Image(np.clip(np.abs(volume) / (FADE * limit), 0, 1), affine),
            transparency_range=[0, 1],
            resampling_interpolation="nearest",
        )
        if self._outlines is not None:
            for code in np.unique(self._outlines[self._outlines > 0]):
                inside = self._geometry.canonical(self._geometry.embed((self._outlines == code).astype(np.float64)))[0]
                display.add_contours(nib.Nifti1Image(inside, affine), levels=[0.5], colors=[INK], linewidths=0.5)
        display.annotate(size=7.5)
