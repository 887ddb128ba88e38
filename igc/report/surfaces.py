"""Maps on the cortical surface, the average one or the subject's own, seen from outside and from the middle.

Volumes are shown on the average surface where they are in MNI space. This is for looking only: sums are taken over all
vertices or voxels, and files hold all vertices.

nilearn is imported where it is used: it is slow to import, and most studies have no surface.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from igc.report.meshes import LARGER, LEVELS, SIDES, Mesh, average_mesh, average_part, own_meshes
from igc.report.style import DIVERGING, INK
from igc.report.volumes import Geometry
from igc.store.arrays import read_values
from igc.store.atomic import replacing

__all__ = [
    "VIEWS",
    "SurfacePainter",
    "Surfaces",
    "in_mni_space",
    "why_no_surface",
    "write_gifti",
]

Floats = npt.NDArray[np.float64]
Sides = tuple[Floats, Floats]

VIEWS = (("left", "lateral"), ("left", "medial"), ("right", "medial"), ("right", "lateral"))
"""From left to right: the left hemisphere is on the left, and the outer sides are outside."""

FADE = 0.1
"""Share of the colour limit below which the folds of the cortex are shown instead of the map."""

_PARTS = {"left": ("L", "CortexLeft"), "right": ("R", "CortexRight")}
# corners (mm) of the usual templates: FSL and SPM, MNI152 2009 as nilearn and fMRIPrep have it
_BOXES = (
    ((-90, -126, -72), (91, 91, 109)),
    ((-78, -112, -70), (78, 76, 85)),
    ((-98, -134, -72), (99, 99, 117)),
    ((-96, -132, -78), (97, 97, 115)),
)


def in_mni_space(affine: npt.ArrayLike, shape: tuple[int, ...]) -> bool:
    """Tell whether a grid is that of one of the usual MNI templates, at any size of voxels.

    Parameters
    ----------
    affine : array (4, 4)
        Voxel indices to millimetres.
    shape : tuple of int
        Shape (x, y, z) of the grid.

    Returns
    -------
    bool
        Whether it covers the box of a template, to two voxels or 4 mm. A grid of the same size around another point, as
        scanners make, does not.
    """
    matrix = np.asarray(affine, dtype=np.float64)
    sizes = np.linalg.norm(matrix[:3, :3], axis=0)
    # templates are not tilted: an oblique grid belongs to a head
    if np.any(np.sort(np.abs(matrix[:3, :3] / sizes), axis=0)[:2] > 1e-3):
        return False
    ends = np.stack([matrix[:3, 3], matrix[:3, :3] @ (np.array(shape[:3]) - 1) + matrix[:3, 3]])
    low, high = ends.min(axis=0), ends.max(axis=0)
    allowed = np.maximum(2 * np.abs(matrix[:3, :3]).sum(axis=1), 4.0)
    return any(
        bool(np.all(np.abs(low - box[0]) <= allowed) and np.all(np.abs(high - box[1]) <= allowed)) for box in _BOXES
    )


@dataclass(frozen=True)
class Surfaces:
    """How the components of a study lie on the two hemispheres.

    Attributes
    ----------
    counts : tuple of int
        Vertices of the left and the right hemisphere.
    place : array of int (component, 2), optional
        Hemisphere (0 left, 1 right) and vertex of each component.
    volume : Geometry, optional
        For voxels in MNI space in place of ``place``.
    own : tuple of Mesh, optional
        The subject's own hemispheres; default: the average ones.
    """

    counts: tuple[int, int]
    place: npt.NDArray[np.int64] | None = None
    volume: Geometry | None = None
    own: tuple[Mesh, Mesh] | None = None

    @classmethod
    def of(cls, samples: xr.Dataset) -> Surfaces | None:
        """Return how inputs lie on the surface, or None where :func:`why_no_surface` says why."""
        if why_no_surface(samples):
            return None
        if "vertex_index" in samples:
            left, right = (int(n) for n in samples.attrs["hemisphere_vertices"])
            place = read_values(samples["vertex_index"]).astype(np.int64)
            return cls((left, right), place=place, own=own_meshes(samples))
        return cls((LEVELS[-1], LEVELS[-1]), volume=Geometry.of(samples))

    def drawn(self, most: int) -> dict[str, Mesh]:
        """Return the meshes to draw by their side, of at most so many vertices (one of :data:`LEVELS`)."""
        if self.own is not None:
            return {side: mesh.thinned(most) for side, mesh in zip(SIDES, self.own, strict=True)}
        return {side: average_mesh(min(self.counts[0], most), side) for side in SIDES}

    def project(self, values: Floats, outside: float = np.nan, nearest: bool = False) -> Sides:
        """Bring values (component) to the vertices of the left and the right hemisphere.

        Parameters
        ----------
        values : array (component,)
            A map.
        outside : float
            For vertices without a component.
        nearest : bool
            Take the value of the nearest voxel, as labels need it; else interpolate.

        Returns
        -------
        left, right : array (vertex,)
        """
        if self.volume is not None:
            # voxels outside the mask have no value, rather than a value of 0 that would dilute those at its border
            volume = self.volume.embed(np.asarray(values, dtype=np.float64), np.nan)
            image = nib.Nifti1Image(volume, self.volume.affine)
            kind = "nearest_most_frequent" if nearest else "linear"
            found = [_sampled(image, side, kind) for side in SIDES]
            left, right = (np.where(np.isfinite(side), side, outside) for side in found)
            return left, right
        sides = (np.full(self.counts[0], outside), np.full(self.counts[1], outside))
        for number, side in enumerate(sides):
            if self.place is not None:
                own = self.place[:, 0] == number
                side[self.place[own, 1]] = values[own]
        return sides


def _sampled(image: nib.Nifti1Image, side: str, interpolation: str) -> Floats:
    """Average a volume over the depth of the cortex of a hemisphere; NaN where it has no value."""
    from nilearn.surface import InMemoryMesh, vol_to_surf

    outer, inner = (average_part(kind, side) for kind in ("pial", "white_matter"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        values = vol_to_surf(
            image,
            InMemoryMesh(outer.coordinates, outer.faces),
            inner_mesh=InMemoryMesh(inner.coordinates, inner.faces),
            interpolation=interpolation,
        )
    return np.asarray(values, dtype=np.float64)


def why_no_surface(samples: xr.Dataset) -> str:
    """Say in one sentence why maps of a study are not drawn on the cortical surface; empty where they are.

    Parameters
    ----------
    samples : xarray.Dataset
        The samples.

    Returns
    -------
    str
    """
    if "vertex_index" in samples:
        counts = [int(n) for n in samples.attrs.get("hemisphere_vertices", [])]
        if "mesh_coordinates" in samples or (len(set(counts)) == 1 and counts[0] in (*LEVELS, *LARGER)):
            return ""
        shown = " and ".join(f"{n:,}" for n in counts)
        return (
            f"The surface has {shown} vertices: it is not one of the average surfaces, whose shape is known here, and "
            "the samples do not hold the subject's own, as they do where its FreeSurfer folder surf is there."
        )
    if "voxel_index" not in samples:
        return "The inputs have no place in a brain."
    shape = tuple(int(n) for n in samples.attrs["volume_shape"])
    if in_mni_space(samples.attrs["affine"], shape):
        return ""
    return (
        "The volume is not on the grid of an MNI template, so it is not known where its voxels lie on the average "
        "surface: see the slices."
    )


class SurfacePainter:
    """Draws a map on both hemispheres, from outside and from the middle, over the folds of the cortex.

    Parameters
    ----------
    surfaces : Surfaces
        Where components lie.
    width : float
        Wanted panel width in inches, for four views in a row.
    coarse : bool
        Draw fewer vertices, and two views above two others, for small panels.
    """

    def __init__(self, surfaces: Surfaces, width: float = 9.4, coarse: bool = False) -> None:
        self._surfaces = surfaces
        self._meshes = surfaces.drawn(LEVELS[1] if coarse else LEVELS[-1])
        self._coarse = coarse
        self.width, self.aspect = (width, 0.21) if not coarse else (0.25 * width, 0.72)

    def draw(self, axes: Axes, target: int, values: Floats, limit: float) -> None:
        """Draw one map (component); see :class:`igc.report.panels.Painter`."""
        from nilearn.plotting import plot_surf_stat_map

        del target
        sides = dict(zip(SIDES, self._surfaces.project(np.asarray(values, dtype=np.float64)), strict=True))
        for (side, view), panel in self._panels(axes):
            mesh = self._meshes[side]
            plot_surf_stat_map(
                surf_mesh=mesh.inner,
                stat_map=np.nan_to_num(sides[side][mesh.vertex]),
                bg_map=mesh.folds,
                hemi=side,
                view=view,
                engine="matplotlib",
                cmap=DIVERGING,
                vmin=-limit,
                vmax=limit,
                symmetric_cbar=True,
                threshold=FADE * limit,
                colorbar=False,
                bg_on_data=False,
                figure=axes.figure,
                axes=panel,
            )

    def draw_values(self, axes: Axes, values: Floats, colours: str, limits: tuple[float, float], cyclic: bool) -> None:
        """Draw values (component); see :class:`igc.report.places.ValuePainter`."""
        from nilearn.plotting import plot_surf

        sides = dict(zip(SIDES, self._surfaces.project(np.asarray(values, dtype=np.float64)), strict=True))
        for (side, view), panel in self._panels(axes):
            mesh = self._meshes[side]
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "All-NaN|Mean of empty", RuntimeWarning)
                plot_surf(
                    surf_mesh=mesh.inner,
                    surf_map=sides[side][mesh.vertex],
                    bg_map=mesh.folds,
                    hemi=side,
                    view=view,
                    engine="matplotlib",
                    cmap=colours,
                    vmin=limits[0],
                    vmax=limits[1],
                    # angles have no mean: a face takes the value of one of its corners
                    avg_method="nanmin" if cyclic else "nanmean",
                    colorbar=False,
                    figure=axes.figure,
                    axes=panel,
                )

    def draw_regions(self, axes: Axes, labels: npt.NDArray[np.int64], colours: Mapping[int, str]) -> None:
        """Draw the regions of an ROI set, labels (component), in their colours; 0 is left as background."""
        from nilearn.plotting import plot_surf_roi

        found = self._surfaces.project(np.asarray(labels, dtype=np.float64), 0.0, nearest=True)
        sides = dict(zip(SIDES, found, strict=True))
        codes = sorted(colours)
        for (side, view), panel in self._panels(axes):
            mesh = self._meshes[side]
            rounded = np.round(sides[side][mesh.vertex])
            numbers = np.zeros(rounded.shape)
            for number, code in enumerate(codes, start=1):
                numbers[rounded == code] = number
            plot_surf_roi(
                surf_mesh=mesh.inner,
                roi_map=numbers,
                bg_map=mesh.folds,
                hemi=side,
                view=view,
                engine="matplotlib",
                cmap=ListedColormap([colours[code] for code in codes] or ["#ffffff"]),
                vmin=1,
                vmax=max(len(codes), 2),
                threshold=0.5,
                colorbar=False,
                figure=axes.figure,
                axes=panel,
            )

    def _panels(self, axes: Axes) -> list[tuple[tuple[str, str], Any]]:
        """Put the axes of the four views in the place of the given ones."""
        axes.axis("off")
        box = axes.get_position()
        figure: Any = axes.figure
        # a row of four, or in small panels outer sides above inner ones
        square = [(0, 1, 2, 2), (0, 0, 2, 2), (1, 0, 2, 2), (1, 1, 2, 2)]
        cells = square if self._coarse else [(k, 0, 4, 1) for k in range(4)]
        made = []
        for (side, view), (column, row, columns, rows) in zip(VIEWS, cells, strict=True):
            width, height = box.width / columns, box.height / rows
            # the views of matplotlib leave a wide margin
            place = (box.x0 + (column - 0.19) * width, box.y0 + (row - 0.22) * height, 1.38 * width, 1.44 * height)
            panel = figure.add_axes(place, projection="3d", label=f"{side} {view}")
            panel.patch.set_alpha(0)
            made.append(((side, view), panel))
        for x, letter in () if self._coarse else ((0.01, "L"), (0.99, "R")):
            axes.text(x, 0.02, letter, transform=axes.transAxes, ha="center", va="bottom", size=8, color=INK)
        return made


def write_gifti(values: Sides, names: list[str], folder: str | Path, name: str) -> list[Path]:
    """Write maps on two hemispheres as GIFTI files, one data array a target.

    Parameters
    ----------
    values : two arrays (target, vertex)
        The left and the right hemisphere; NaN where there is no value.
    names : list of str
        Of the targets.
    folder : str or Path
        Where to write.
    name : str
        The files are called ``<name>_hemi-L.shape.gii`` and ``<name>_hemi-R.shape.gii``.

    Returns
    -------
    list of Path
        Both files.
    """
    paths = []
    for side, maps in zip(SIDES, values, strict=True):
        letter, structure = _PARTS[side]
        image = nib.GiftiImage(meta=nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure}))
        for target, one in zip(names, maps, strict=True):
            array = nib.gifti.GiftiDataArray(
                np.asarray(one, dtype=np.float32), intent="NIFTI_INTENT_SHAPE", meta={"Name": target}
            )
            image.add_gifti_data_array(array)
        path = Path(folder) / f"{name}_hemi-{letter}.shape.gii"
        with replacing(path) as temporary:
            temporary.write_bytes(image.to_bytes())
        paths.append(path)
    return paths
