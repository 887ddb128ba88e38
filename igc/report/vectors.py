"""Maps of components without a place: one bar each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes

from igc.report.images import paint_labels
from igc.report.style import DIVERGING, GREY

__all__ = ["VectorPainter"]


class VectorPainter:
    """Draws a map as bars over the component's number, coloured as the maps of images are.

    Parameters
    ----------
    width : float
        Wanted panel width in inches.
    """

    def __init__(self, width: float = 3.0) -> None:
        self.width = width
        self.aspect = 0.5

    def draw(self, axes: Axes, target: int, values: npt.NDArray[np.float64], limit: float) -> None:
        """Draw one map (component...), flattened; see :class:`igc.report.panels.Painter`."""
        del target
        flat = np.asarray(values, dtype=np.float64).ravel()
        colours = colormaps[DIVERGING](np.clip(flat / (2 * limit) + 0.5, 0, 1))
        axes.bar(np.arange(flat.size), flat, width=1.0, color=colours, edgecolor=GREY, linewidth=0.2)
        axes.axhline(0, color=GREY, linewidth=0.6)
        reach = max(limit, float(np.nanmax(np.abs(flat), initial=0.0))) * 1.05
        axes.set(xticks=[], yticks=[], ylim=(-reach, reach), xlim=(-0.5, flat.size - 0.5))

    def draw_regions(self, axes: Axes, labels: npt.NDArray[np.int64], colours: Mapping[int, str]) -> None:
        """Draw the regions of an ROI set, labels (component...), as a strip of colours."""
        axes.imshow(paint_labels(labels.reshape(1, -1), colours), aspect="auto")
        axes.set(xticks=[], yticks=[])
