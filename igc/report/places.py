"""Where the predicted responses of an encoding study lie in the brain, seen as maps of one value a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes

from igc.report.surfaces import SurfacePainter, Surfaces, why_no_surface
from igc.report.volumes import Geometry, SlicePainter, strongest_slices

__all__ = ["BrainRow", "ValuePainter", "brain_row", "located_targets"]

Values = npt.NDArray[np.float64]

_PREFIX = "target_"
_ATTRIBUTES = ("affine", "volume_shape", "hemisphere_vertices")
_VARIABLES = ("voxel_index", "vertex_index", "background")
_MOST_SLICES = 5


class ValuePainter(Protocol):
    """Draws one value a component into axes; see :class:`igc.report.volumes.SlicePainter`."""

    width: float
    aspect: float

    def draw_values(self, axes: Axes, values: Values, colours: str, limits: tuple[float, float], cyclic: bool) -> None:
        """Draw values (component,), NaN where there is none, by a colour map between two limits that may be one."""


@dataclass(frozen=True)
class BrainRow:
    """How one map is drawn: painters side by side, of one height, and how to read them."""

    painters: Sequence[ValuePainter]
    hint: str


def located_targets(samples: xr.Dataset) -> xr.Dataset | None:
    """Return samples whose components are the targets, or None where these have no place in a brain.

    Parameters
    ----------
    samples : xarray.Dataset
        With ``target_voxel_index`` or ``target_vertex_index`` (target, axis), and what belongs to it.

    Returns
    -------
    xarray.Dataset
        With ``voxel_index`` or ``vertex_index`` (voxel, axis), and the attributes of a study that decodes from there.
    """
    if not {f"{_PREFIX}voxel_index", f"{_PREFIX}vertex_index"} & set(samples.variables):
        return None
    there = [name for name in _VARIABLES if _PREFIX + name in samples]
    variables = {name: samples[_PREFIX + name].drop_vars("target", errors="ignore") for name in there}
    for name in ("voxel_index", "vertex_index"):
        if name in variables:
            variables[name] = variables[name].rename(target="voxel")
    variables |= {str(name): samples[name] for name in samples.data_vars if str(name).startswith("mesh_")}
    attributes = {name: samples.attrs[_PREFIX + name] for name in _ATTRIBUTES if _PREFIX + name in samples.attrs}
    kept = {name: samples.attrs[name] for name in ("study", "title", "source") if name in samples.attrs}
    kind = "volume" if "voxel_index" in variables else "vector"
    return xr.Dataset(variables, attrs={**kept, **attributes, "kind": kind})


def brain_row(places: xr.Dataset, width: float, gap: float) -> BrainRow | str:
    """Choose how values of voxels or vertices are drawn in a row of a width in inches, or say why they are not.

    Parameters
    ----------
    places : xarray.Dataset
        Samples of voxels or vertices.
    width : float
        Room in inches.
    gap : float
        Between painters, in inches.

    Returns
    -------
    BrainRow or str
    """
    if "voxel_index" in places:
        geometry = Geometry.of(places)
        everywhere = np.ones((1, places.sizes["voxel"]))
        slices = strongest_slices(everywhere, geometry, 2, _MOST_SLICES)
        painters = [SlicePainter(geometry, 2, index, (width + gap) / len(slices) - gap) for index in slices]
        heights = ", ".join(f"{one.millimetres:.0f}" for one in painters).replace("-", "\N{MINUS SIGN}")
        return BrainRow(painters, f"Axial slices at {heights} mm, left on the left.")
    surfaces = Surfaces.of(places)
    if surfaces is None:
        return why_no_surface(places)
    return BrainRow([SurfacePainter(surfaces, width)], "The left hemisphere is on the left, outer sides are outside.")
