"""Receptive fields on the brain: polar angle, eccentricity, size and quality of fit of every voxel or vertex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from igc.report.fields import LEAST_R2, LEAST_SCORE
from igc.report.places import BrainRow, brain_row
from igc.report.style import header, new_figure, number, styled, unavailable

__all__ = ["ANGLES", "FieldMap", "field_map_figure", "field_maps"]

Array = npt.NDArray[np.float64]

ANGLES = "polar_angle"
"""Name of the cyclic colours: right of the middle red, above it yellow to green, left teal, below it blue to purple."""

_WHEEL = ("#d1495b", "#e39b2d", "#a9b83a", "#3fa66a", "#2aa5b8", "#3a6fd0", "#8d57c9", "#cf4fa3", "#d1495b")
_LEFT, _TOP, _GAP, _BAR, _BOTTOM = 1.4, 0.95, 0.12, 1.05, 0.15
_WIDTH = 8.0
_QUANTILE = 0.95

# the wheel of colours starts where angles do, at -180
_TURNED = (*_WHEEL[4:], *_WHEEL[1:5])
if ANGLES not in colormaps:
    colormaps.register(LinearSegmentedColormap.from_list(ANGLES, _TURNED), name=ANGLES)


@dataclass(frozen=True)
class FieldMap:
    """One value a target: name, unit, values (target,) with NaN where there is none, colours and limits."""

    name: str
    unit: str
    values: Array
    colours: str
    limits: tuple[float, float]


def _top(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.quantile(known, _QUANTILE)) if len(known) else 1.0


def field_maps(table: pd.DataFrame) -> list[FieldMap]:
    """Return what is drawn of a table of receptive fields.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :func:`igc.roi.field_table.field_table`.

    Returns
    -------
    list of FieldMap
        Angle, eccentricity and size of the fields that :func:`igc.report.fields.field_figure` draws; the share of its
        map that each Gaussian explains; the score, and what it is of the best possible one where that is known.
    """
    columns = {name: table[name].to_numpy(dtype=np.float64) for name in table.columns if name != "target"}
    good = (columns["r2"] >= LEAST_R2) & (columns["score"] >= LEAST_SCORE)
    known = np.isfinite(columns["eccentricity_degrees"])
    ending, unit = ("_degrees", "degrees") if known.any() else ("", "pixels")
    far, wide = (np.where(good, columns[f"{name}{ending}"], np.nan) for name in ("eccentricity", "size"))
    maps = [
        FieldMap("polar angle", "degrees", np.where(good, columns["angle"], np.nan), ANGLES, (-180.0, 180.0)),
        FieldMap("eccentricity", unit, far, "viridis", (0.0, _top(far))),
        FieldMap("size (1 SD)", unit, wide, "viridis", (0.0, _top(wide))),
        FieldMap("R² of the field", "share of the map", columns["r2"], "viridis", (0.0, 1.0)),
        FieldMap("score", "correlation", columns["score"], "viridis", (0.0, _top(columns["score"]))),
    ]
    best = columns["normalized_score"]
    if np.isfinite(best).any():
        maps.append(FieldMap("normalised score", "of the best possible", best, "viridis", (0.0, max(1.0, _top(best)))))
    return maps


def _legend(figure: Figure, one: FieldMap, left: float, middle: float, height: float) -> None:
    """Draw a colour bar, or a wheel for what is cyclic, in inches."""
    width, full = figure.get_size_inches()
    if one.colours == ANGLES:
        size = min(0.62, height)
        place = ((left + 0.16) / width, (middle - size / 2) / full, size / width, size / full)
        wheel = figure.add_axes(place, projection="polar", label="wheel")
        turn = np.linspace(-np.pi, np.pi, 181)
        shades = np.degrees((turn[1:] + turn[:-1]) / 2)[None]
        wheel.pcolormesh(turn, [0.45, 1.0], shades, cmap=ANGLES, vmin=-180, vmax=180)
        wheel.set(xticks=[], yticks=[])
        wheel.spines["polar"].set_visible(False)
        wheel.grid(visible=False)
        wheel.text(0.5, 0.5, "field", transform=wheel.transAxes, ha="center", va="center", size=6, color="#444444")
        return
    length = min(0.8 * height, 1.1)
    axes = figure.add_axes((left / width, (middle - length / 2) / full, 0.09 / width, length / full), label="bar")
    low, high = one.limits
    bar = figure.colorbar(ScalarMappable(Normalize(low, high), one.colours), cax=axes)
    bar.set_ticks([low, high], labels=["0" if low == 0 else number(low), number(high)])
    bar.outline.set_linewidth(0.5)
    axes.tick_params(length=2, pad=2, labelsize=7.5)


@styled
def field_map_figure(table: pd.DataFrame, places: xr.Dataset, title: str = "") -> Figure:
    """Draw receptive fields where their voxels or vertices lie.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :func:`igc.roi.field_table.field_table`; its rows are the components of ``places``, in order.
    places : xarray.Dataset
        Of :func:`igc.report.places.located_targets`.
    title : str
        Heading.

    Returns
    -------
    matplotlib.figure.Figure
        A note with the reason where it is not known how the components lie.
    """
    row = brain_row(places, _WIDTH, _GAP)
    if not isinstance(row, BrainRow):
        return unavailable(title, row)
    maps = field_maps(table)
    width = _LEFT + _WIDTH + _BAR
    height = max(one.width * one.aspect for one in row.painters)
    full = _TOP + len(maps) * (height + _GAP) + _BOTTOM
    figure = new_figure(width, full)
    drawn = int(np.isfinite(maps[0].values).sum())
    said = (
        f"Angle, eccentricity and size of {drawn} of {len(table)} fields: those that explain {LEAST_R2:.0%} of their "
        f"map, of targets with a score of {LEAST_SCORE} or more. {row.hint} Colours saturate at the {_QUANTILE:.0%} "
        "quantile."
    )
    header(figure, title, said, left=0.3)
    for k, one in enumerate(maps):
        bottom = full - _TOP - (k + 1) * height - k * _GAP
        for j, painter in enumerate(row.painters):
            place = ((_LEFT + j * (painter.width + _GAP)) / width, bottom / full, painter.width / width, height / full)
            axes = figure.add_axes(place, label=one.name)
            painter.draw_values(axes, one.values, one.colours, one.limits, one.colours == ANGLES)
        middle = bottom + height / 2
        figure.text(0.3 / width, (middle + 0.03) / full, one.name, size=8.5, va="bottom")
        figure.text(0.3 / width, (middle - 0.03) / full, one.unit, size=7.5, va="top", color="#555555")
        _legend(figure, one, _LEFT + _WIDTH + 0.15, middle, height)
    return figure
