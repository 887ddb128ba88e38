"""What a caller wants maps to be summed into: regions, squares of pixels, channels, or regions alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from igc.attribution.cells import Cells
from igc.errors import MethodError, explain
from igc.roi.sets import RoiSet

__all__ = ["Layout", "Pool", "make_layout", "spread"]

CHANNELS, REGIONS = "channels", "rois"
SPREAD = ("attribution", "standard_error", "estimator_error")
Labels = npt.NDArray[np.int64]
Pool = int | str | Sequence[int | str] | None


@dataclass(frozen=True)
class Layout:
    """The cells of the maps of all inputs, and the axes they are shown on.

    Attributes
    ----------
    cells : Cells
        Cells of the map, followed by regions.
    shapes : tuple of tuple of int
        Shape of the map of each input; none where only regions are kept.
    dims : tuple of tuple of str
        Names of its axes.
    """

    cells: Cells
    shapes: tuple[tuple[int, ...], ...]
    dims: tuple[tuple[str, ...], ...]


def make_layout(
    shapes: Sequence[tuple[int, ...]], dims: Sequence[tuple[str, ...]], rois: Mapping[str, RoiSet], pool: Pool
) -> Layout:
    """Combine the ROI sets with what a caller wants pooled.

    Parameters
    ----------
    shapes, dims
        Shape, and names of the axes, of each input.
    rois : mapping of str to RoiSet
        Sets to sum over.
    pool : int, str or sequence of them, optional
        Sum over squares of so many rows and columns; over "channels" (the first of three axes); or keep the sums over
        "rois" alone.

    Returns
    -------
    Layout

    Raises
    ------
    MethodError
        If the regions or the pooling do not fit the inputs.
    """
    n = int(sum(np.prod(shape) for shape in shapes))
    regions = [(_labels(roi_set, n), len(roi_set.indices)) for roi_set in rois.values()]
    asked: list[int | str] = [] if pool is None else [pool] if isinstance(pool, (int, str)) else list(pool)
    if not asked:
        return Layout(Cells.of(n, regions), tuple(shapes), tuple(dims))
    if REGIONS in asked:
        if len(asked) > 1 or not regions:
            seen = f"{pool!r} with {len(regions)} ROI sets"
            raise MethodError(explain("pool", seen, "'rois' alone, with ROI sets", "pass rois, or another pooling"))
        return Layout(Cells.of(n, regions, (np.zeros(n), 0)), (), ())
    parts, new_shapes, new_dims, first = [], [], [], 0
    for shape, names in zip(shapes, dims, strict=True):
        labels, shape, names = _pooled(shape, names, asked)
        parts.append(labels.reshape(-1) + first)
        first += int(np.prod(shape))
        new_shapes.append(shape)
        new_dims.append(names)
    return Layout(Cells.of(n, regions, (np.concatenate(parts), first)), tuple(new_shapes), tuple(new_dims))


def spread(result: xr.Dataset, layout: Layout, shape: tuple[int, ...], dims: tuple[str, ...]) -> xr.Dataset:
    """Share the value of each cell evenly between its components, so that a pooled map has the shape of the input.

    Parameters
    ----------
    result : xarray.Dataset
        With maps of pooled cells; or without maps, where only regions were kept: those of the first set are shared.
    layout : Layout
        Of the cells.
    shape, dims
        Shape and names of the axes of the input.

    Returns
    -------
    xarray.Dataset
        With the map and its errors, which are those of the even shares, and the attribute ``pooled``; other maps of
        cells are dropped.
    """
    cells = layout.cells
    if not cells.pooled:
        return result
    count = cells.n_map or cells.sizes[0]
    matrix = cells.matrix[:count]
    shares = (matrix.T / np.maximum(matrix.sum(axis=1), 1.0)).T
    values = {}
    for name in SPREAD:
        held = result[name if cells.n_map else f"roi_{name}"].values.reshape(result.sizes["target"], -1)[:, :count]
        values[name] = (("target", *dims), np.asarray(held @ shares).reshape(-1, *shape))
    pooled = [name for name, value in result.items() if cells.n_map and value.dims == ("target", *layout.dims[0])]
    return result.drop_vars(pooled).assign(values).assign_attrs(pooled=True)


def _labels(roi_set: RoiSet, n_components: int) -> Labels:
    """Return the region of each component, from 0, the rest last."""
    rows = np.asarray(roi_set.rows(), dtype=np.int64).reshape(-1)
    if len(rows) != n_components:
        seen, allowed = f"{len(rows)} components", f"{n_components}, as the inputs have"
        raise MethodError(explain("rois", seen, allowed, "define the ROI sets on these samples"))
    return rows


def _pooled(
    shape: tuple[int, ...], dims: tuple[str, ...], asked: Sequence[int | str]
) -> tuple[Labels, tuple[int, ...], tuple[str, ...]]:
    """Return the cell of each component of one input, and shape and axes of its pooled map."""
    index = list(np.indices(shape))
    kept, names = list(shape), list(dims)
    for entry in asked:
        if entry == CHANNELS and len(shape) == 3 and len(kept) == 3:
            index, kept, names = index[1:], kept[1:], names[1:]
        elif isinstance(entry, int) and not isinstance(entry, bool) and len(kept) >= 2:
            if entry < 1 or kept[-2] % entry or kept[-1] % entry:
                allowed = f"a divisor of {kept[-2]} and {kept[-1]}"
                raise MethodError(explain("pool", entry, allowed, "choose another"))
            index[-2], index[-1] = index[-2] // entry, index[-1] // entry
            kept[-2], kept[-1] = kept[-2] // entry, kept[-1] // entry
        else:
            allowed = "a number for images, 'channels' for images with channels, or 'rois'"
            raise MethodError(explain("pool", f"{entry!r} for inputs of shape {shape}", allowed, "choose another"))
    cell = np.ravel_multi_index(tuple(index), tuple(kept))
    return np.asarray(cell, dtype=np.int64), tuple(kept), tuple(names)
