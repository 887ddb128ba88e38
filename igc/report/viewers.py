"""Pages of maps of volumes in three planes, with nilearn's interactive viewer; each opens alone, without a network."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import numpy.typing as npt
import xarray as xr

from igc.report.selection import Results, choose_targets, method_label, model_labels
from igc.report.style import DIVERGING, colour_limit
from igc.report.volumes import Geometry
from igc.store.arrays import read_values

__all__ = ["viewer_page", "viewer_pages"]


def viewer_page(values: npt.NDArray[np.float64], geometry: Geometry, limit: float, title: str) -> str:
    """Show one map in three planes over the mean image.

    Parameters
    ----------
    values : array (voxel)
        The map.
    geometry : Geometry
        Where the voxels lie.
    limit : float
        Values from minus to plus it are told apart by colour.
    title : str
        Stands on the page.

    Returns
    -------
    str
        HTML, whole.
    """
    from nilearn.plotting import view_img  # slow to import, and most studies have no volume

    volume, affine = geometry.canonical(geometry.embed(np.nan_to_num(values)))
    background, _ = geometry.canonical(geometry.background)
    view = view_img(
        nib.Nifti1Image(volume, affine),
        bg_img=nib.Nifti1Image(background, affine),
        cmap=DIVERGING,
        symmetric_cmap=True,
        vmax=limit,
        threshold=None,
        black_bg=False,
        opacity=0.75,
        title=title,
        resampling_interpolation="nearest",
    )
    return str(view.get_standalone())


def viewer_pages(samples: xr.Dataset, results: Results) -> dict[tuple[str, str], str]:
    """Show the best predicted target of every result in three planes.

    Parameters
    ----------
    samples : xarray.Dataset
        Samples of kind "volume".
    results : mapping
        Attribution results by (model folder, result name).

    Returns
    -------
    dict of (str, str) to str
        A page a result; maps that sum to the score share one colour limit. Nothing for a single slice, which has no
        three planes.
    """
    geometry = Geometry.of(samples)
    if geometry.flat_axis is not None:
        return {}
    chosen = choose_targets(results, 1)
    labels = model_labels(model for model, _ in results)
    maps = {key: read_values(one["attribution"][chosen.indices[0]]).astype(np.float64) for key, one in results.items()}
    closed = [maps[key] for key, one in results.items() if one.attrs.get("complete")]
    shared = colour_limit(closed)
    return {
        key: viewer_page(
            values,
            geometry,
            shared if results[key].attrs.get("complete") else colour_limit([values]),
            f"{method_label(key[1])}, {labels[key[0]]}, target {chosen.names[0]}",
        )
        for key, values in maps.items()
    }
