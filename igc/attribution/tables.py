"""Numbers of a dataset that are no maps over components: effects of regions, by part or by pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from igc.attribution.estimate import MapEstimate
from igc.errors import ShapeError, explain

__all__ = ["Table"]


@dataclass(frozen=True)
class Table:
    """An estimate with axes of its own.

    Attributes
    ----------
    estimate : MapEstimate
        (target, cell): all axes but the target joined into one.
    axes : mapping of str to array
        Name and labels of each axis, in their order.
    """

    estimate: MapEstimate
    axes: Mapping[str, npt.NDArray[np.generic]]

    def __post_init__(self) -> None:
        cells = int(np.prod([len(labels) for labels in self.axes.values()]))
        if self.estimate.value.shape[1] != cells:
            seen = f"{self.estimate.value.shape[1]} cells"
            raise ShapeError(explain("table", seen, f"{cells}, as its axes have", "name the axes of the estimate"))

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(len(labels) for labels in self.axes.values())
