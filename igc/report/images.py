"""Maps over image pixels, drawn with the outline of what the model looked at."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from scipy.ndimage import gaussian_filter

from igc.report.style import DIVERGING, INK
from igc.store.arrays import read_values

__all__ = ["ImagePainter", "category_means", "flatten_channels", "image_outlines", "label_edges", "paint_labels"]


def flatten_channels(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sum a map (channel, row, column) over channels; a map (row, column) stays as it is."""
    return np.asarray(values.sum(axis=0) if values.ndim == 3 else values, dtype=np.float64)


def category_means(samples: xr.Dataset, limit: int = 2000) -> npt.NDArray[np.float64]:
    """Return the mean held-out image of every category.

    Parameters
    ----------
    samples : xarray.Dataset
        Samples with one-hot responses (sample, target) and inputs (sample, channel, row, column).
    limit : int
        Largest number of images read.

    Returns
    -------
    array (target, row, column)
        Zero for a category without an image among those read.
    """
    rows = np.flatnonzero(samples["fold"].values >= 0)[:limit]
    images = read_values(samples["inputs"], rows).astype(np.float64)
    weights = (read_values(samples["responses"], rows) > 0.5).astype(np.float64)
    sums = np.tensordot(weights, images.reshape(len(rows), -1, *images.shape[-2:]).sum(axis=1), axes=(0, 0))
    return np.asarray(sums / np.maximum(weights.sum(axis=0), 1)[:, None, None], dtype=np.float64)


def image_outlines(samples: xr.Dataset) -> dict[int, npt.NDArray[np.float64]]:
    """Return for each target the picture whose contour is drawn over its maps.

    Parameters
    ----------
    samples : xarray.Dataset
        Samples of images.

    Returns
    -------
    dict of int to array (row, column)
        The planted truth where there is one, else the mean image of a category; empty for measured values.
    """
    if "truth" in samples:
        truth = read_values(samples["truth"]).astype(np.float64)
        return {k: np.abs(flatten_channels(one)) for k, one in enumerate(truth)}
    if samples.attrs.get("target_type") == "categories":
        return dict(enumerate(category_means(samples)))
    return {}


def label_edges(labels: npt.NDArray[np.int64]) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Return the borders between differing labels of a picture as line segments in pixel edges.

    Parameters
    ----------
    labels : array (row, column)
        Whole numbers.

    Returns
    -------
    list of ((x, y), (x, y))
        Segments, with pixel (row, column) reaching from column - 0.5 to column + 0.5.
    """
    padded = np.pad(labels, 1)
    across = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])
    down = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])
    upright = [((c - 0.5, r - 0.5), (c - 0.5, r + 0.5)) for r, c in across.tolist()]
    lying = [((c - 0.5, r - 0.5), (c + 0.5, r - 0.5)) for r, c in down.tolist()]
    return upright + lying


def paint_labels(labels: npt.NDArray[np.int64], colours: Mapping[int, str]) -> npt.NDArray[np.float64]:
    """Return a picture (row, column, RGBA) of labels, transparent where a label has no colour."""
    picture = np.zeros((*labels.shape, 4))
    for code, colour in colours.items():
        picture[labels == code] = to_rgba(colour)
    return picture


class ImagePainter:
    """Draws a map of pixels, blue for negative and red for positive, with a contour at half of an outline's maximum.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    outlines : mapping of int to array (row, column)
        By target; targets may be missing.
    width : float
        Wanted panel width in inches.
    """

    def __init__(
        self, shape: tuple[int, int], outlines: Mapping[int, npt.NDArray[np.float64]], width: float = 1.7
    ) -> None:
        self.width = width
        self.aspect = shape[0] / shape[1]
        self._outlines = outlines

    def draw(self, axes: Axes, target: int, values: npt.NDArray[np.float64], limit: float) -> None:
        """Draw one map, (row, column) or (channel, row, column); see :class:`igc.report.panels.Painter`."""
        image = flatten_channels(values)
        axes.imshow(image, cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto")
        outline = self._outlines.get(target)
        if outline is not None and outline.max() > outline.min():
            smooth = gaussian_filter(outline, 0.6)
            axes.contour(smooth, levels=[smooth.max() / 2], colors=[INK], linewidths=0.7, alpha=0.75)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(visible=True, color="#c8c8c8", linewidth=0.6)

    def draw_regions(self, axes: Axes, labels: npt.NDArray[np.int64], colours: Mapping[int, str]) -> None:
        """Draw the regions of an ROI set, labels ([channel,] row, column), with their outlines."""
        picture = labels.max(axis=0) if labels.ndim == 3 else labels
        axes.imshow(paint_labels(picture, colours), aspect="auto")
        axes.add_collection(LineCollection(label_edges(picture), colors=INK, linewidths=0.6))
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(visible=True, color="#c8c8c8", linewidth=0.6)
