"""Sheets of maps: panels placed by inches, so that no text is clipped however many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from igc.report.style import GREY, QUANTILE, fit_text, header, new_figure, scale_bar, text_width

__all__ = ["Block", "Line", "Painter", "Panel", "panel_grid", "panel_sheet"]

SHEET_WIDTH = 10.2
"""Width of a full sheet in inches: a page across."""
_LEFT, _GAP = 0.3, 0.14


class Painter(Protocol):
    """Draws one map of one target into axes.

    Attributes
    ----------
    width, aspect : float
        Wanted width of a panel in inches; its height as a share of that.
    """

    width: float
    aspect: float

    def draw(self, axes: Axes, target: int, values: npt.NDArray[np.float64], limit: float) -> None:
        """Draw the map ``values`` (component...) with colours from minus to plus ``limit``."""

    def draw_regions(self, axes: Axes, labels: npt.NDArray[np.int64], colours: Mapping[int, str]) -> None:
        """Draw where the regions of an ROI set lie, ``labels`` (component...), in their colours."""


@dataclass(frozen=True)
class Panel:
    """One map: position of its target, values (component...), colour limit, and its title."""

    target: int
    values: npt.NDArray[np.float64]
    limit: float
    title: str = ""


@dataclass(frozen=True)
class Block:
    """Panels below a heading of their own; no heading where ``title`` is empty."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Line:
    """One row of a grid: a label of one or two lines, its panels, and the unit of the colours.

    Neighbouring lines with the same ``scale`` share one colour bar; those with an empty one have none.
    """

    label: str
    detail: str
    panels: tuple[Panel | None, ...]
    scale: str
    unit: str


class _Placer:
    """Adds axes and text at inches from the upper left corner."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.width, self.height = (float(value) for value in figure.get_size_inches())

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        bottom = self.height - top - height
        return self.figure.add_axes((left / self.width, bottom / self.height, width / self.width, height / self.height))

    def text(self, left: float, top: float, text: str, **style: object) -> None:
        self.figure.text(left / self.width, 1 - top / self.height, text, **style)  # type: ignore[arg-type]


def _paint(place: _Placer, painter: Painter, panel: Panel, left: float, top: float, width: float) -> None:
    axes = place.axes(left, top, width, width * painter.aspect)
    axes.set_label("map")
    painter.draw(axes, panel.target, panel.values, panel.limit)


def _caption(place: _Placer, middle: float, baseline: float, text: str) -> None:
    """Write a centred title whose last line stands on a baseline."""
    for k, line in enumerate(reversed(text.split("\n"))):
        place.text(middle, baseline - 0.14 * k, line, size=8.5, ha="center", va="baseline")


def _sheet_columns(blocks: Sequence[Block], painter: Painter) -> int:
    """Return how many panels stand side by side, evening out the last row."""
    longest = max(len(block.panels) for block in blocks)
    fitting = max(1, int((SHEET_WIDTH - 2 * _LEFT + _GAP) / (painter.width + _GAP)))
    rows = -(-longest // fitting)
    return -(-longest // rows)


def panel_sheet(
    blocks: Sequence[Block], painter: Painter, title: str, subtitle: str, unit: str, note: str = ""
) -> Figure:
    """Draw blocks of maps that all share one colour scale.

    Parameters
    ----------
    blocks : sequence of Block
        One a model, or a single one.
    painter : Painter
        Draws a panel.
    title, subtitle : str
        Heading of the figure.
    unit : str
        What the colours mean, beside the colour bar.
    note : str
        What is left out, below the figure.

    Returns
    -------
    matplotlib.figure.Figure
    """
    columns = _sheet_columns(blocks, painter)
    width, height = painter.width, painter.width * painter.aspect
    names = {id(p): fit_text(p.title, width + _GAP * 0.5, 8.6, lines=2) for block in blocks for p in block.panels}
    room = 0.23 + 0.14 * max(name.count("\n") for name in names.values())
    heading = 0.3 if any(block.title for block in blocks) else 0.0
    step = height + room + 0.1
    rows = [-(-len(block.panels) // columns) for block in blocks]
    full = max(6.6, 2 * _LEFT + columns * (width + _GAP) - _GAP)
    figure = new_figure(full, 0.86 + sum(heading + count * step for count in rows) + 0.75 + (0.2 if note else 0))
    place = _Placer(figure)
    header(figure, title, subtitle, left=_LEFT)
    top = 0.86
    for block, count in zip(blocks, rows, strict=True):
        if block.title:
            place.text(
                _LEFT,
                top + 0.1,
                fit_text(block.title, full - 2 * _LEFT, 9.6, bold=True),
                size=9.5,
                weight="bold",
                va="top",
            )
        for k, panel in enumerate(block.panels):
            left = _LEFT + (k % columns) * (width + _GAP)
            at = top + heading + (k // columns) * step
            _caption(place, left + width / 2, at + room - 0.07, names[id(panel)])
            _paint(place, painter, panel, left, at + room, width)
        top += heading + count * step
    limit = blocks[0].panels[0].limit
    low = 0.32 + (0.2 if note else 0)
    scale_bar(figure, (_LEFT + 0.2, low, 2.6, 0.12), limit)
    said = f"{unit}\ncolours saturate at the {QUANTILE:.1%} quantile of |map|"
    place.text(_LEFT + 3.2, place.height - low - 0.03, said, size=8, va="center", color="#444444")
    if note:
        place.text(_LEFT, place.height - 0.16, note, size=8, va="center", style="italic", color="#444444")
    return figure


def _grid_scales(place: _Placer, lines: Sequence[Line], tops: Sequence[float], left: float, height: float) -> None:
    """Draw one upright colour bar for each run of lines with the same scale."""
    start = 0
    for stop in range(1, len(lines) + 1):
        if stop < len(lines) and lines[stop].scale == lines[start].scale:
            continue
        low, high = tops[start], tops[stop - 1] + height
        if lines[start].scale:
            limit = next((p.limit for line in lines[start:stop] for p in line.panels if p is not None), 1.0)
            length = min(high - low, 1.6)
            bottom = place.height - (low + high) / 2 - length / 2
            scale_bar(place.figure, (left, bottom + 0.05, 0.09, length - 0.1), limit, vertical=True)
        unit = fit_text(lines[start].unit, 0.98, 7.6, lines=4)
        place.text(left + 0.78, (low + high) / 2, unit, size=7.5, va="center", color="#555555", linespacing=1.15)
        start = stop


def panel_grid(
    lines: Sequence[Line],
    columns: Sequence[str],
    painter: Painter,
    title: str,
    subtitle: str,
    note: str = "",
    panel_width: float = 0.92,
) -> Figure:
    """Draw a table of maps, one method (and model) a row, one target a column.

    Parameters
    ----------
    lines : sequence of Line
        Rows from top to bottom, with as many panels as there are columns; a panel may be None.
    columns : sequence of str
        Titles of the columns.
    painter : Painter
        Draws a panel.
    title, subtitle, note : str
        Heading of the figure, and what is left out.
    panel_width : float
        Width of a panel in inches.

    Returns
    -------
    matplotlib.figure.Figure
    """
    gap, scale_room = 0.08, 1.95
    widest = max(text_width(text, 8.8) for line in lines for text in (line.label, line.detail))
    label_room = min(widest, 2.2) + 0.2
    height = panel_width * painter.aspect
    row = max(height, 0.5) + gap
    grid = len(columns) * (panel_width + gap)
    full = max(7.0, _LEFT + label_room + grid + scale_room)
    titles = [fit_text(name, panel_width + gap * 0.6, 8.6, lines=2) for name in columns]
    first = 1.02 + 0.14 * max(name.count("\n") for name in titles)
    breaks = [k > 0 and lines[k].scale != lines[k - 1].scale for k in range(len(lines))]
    tops = [first + k * row + 0.12 * sum(breaks[: k + 1]) for k in range(len(lines))]
    figure = new_figure(full, tops[-1] + row + (0.4 if note else 0.15))
    place = _Placer(figure)
    header(figure, title, subtitle, left=_LEFT)
    for j, name in enumerate(titles):
        _caption(place, _LEFT + label_room + j * (panel_width + gap) + panel_width / 2, first - 0.07, name)
    for line, top in zip(lines, tops, strict=True):
        label, detail = fit_text(line.label, label_room - 0.1, 8.8), fit_text(line.detail, label_room - 0.1, 8.1)
        shift = 0.08 if detail else 0.0
        place.text(_LEFT, top + height / 2 - shift, label, size=8.5, va="center")
        place.text(_LEFT, top + height / 2 + 0.08, detail, size=8, va="center", color=GREY)
        for j, panel in enumerate(line.panels):
            if panel is not None:
                _paint(place, painter, panel, _LEFT + label_room + j * (panel_width + gap), top, panel_width)
    _grid_scales(place, lines, tops, _LEFT + label_room + grid + 0.12, height)
    if note:
        place.text(_LEFT, place.height - 0.18, note, size=8, va="center", style="italic", color="#444444")
    return figure
