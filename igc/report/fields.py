"""Receptive fields over the image, and how they lie beside those that were planted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.figure import Figure

from igc.report.style import GREY, INK, PALETTE, header, new_figure, styled, unavailable

__all__ = ["LEAST_R2", "LEAST_SCORE", "field_figure"]

Array = npt.NDArray[np.float64]

LEAST_R2 = 0.2
"""Share of a map's variance that its Gaussian must explain for the field to be drawn."""
LEAST_SCORE = 0.1
"""Least score of a target whose field is drawn: a model that predicts nothing has maps of noise."""
_MOST_CIRCLES = 60
_PANEL, _LEFT, _GAP, _TOP, _BOTTOM = 2.75, 0.7, 0.85, 1.05, 0.62
_SEQUENTIAL = "viridis_r"


def _unit(table: pd.DataFrame) -> tuple[float, str]:
    """Return how many degrees a pixel has, or 1, and the unit."""
    known = np.isfinite(table["size_degrees"]) & (table["size"] > 0)
    if not known.any():
        return 1.0, "pixels"
    first = table[known].iloc[0]
    return float(first["size_degrees"] / first["size"]), "degrees"


def _places(table: pd.DataFrame, shape: tuple[int, int], scale: float, prefix: str = "") -> tuple[Array, Array]:
    """Return positions to the right of and above the middle of the image."""
    right = (table[f"{prefix}column"].to_numpy() - (shape[1] - 1) / 2) * scale
    up = ((shape[0] - 1) / 2 - table[f"{prefix}row"].to_numpy()) * scale
    return right, up


def _frame(axes: Axes, shape: tuple[int, int], scale: float, unit: str) -> None:
    """Show the border of the image and the meridians, and as much beyond."""
    across, down = shape[1] * scale / 2, shape[0] * scale / 2
    axes.plot([-across, across, across, -across, -across], [-down, -down, down, down, -down], color=INK, linewidth=0.8)
    axes.axhline(0, color=GREY, linewidth=0.5, linestyle=(0, (2, 2)))
    axes.axvline(0, color=GREY, linewidth=0.5, linestyle=(0, (2, 2)))
    axes.set(xlim=(-1.08 * across, 1.08 * across), ylim=(-1.08 * down, 1.08 * down), aspect="equal")
    axes.set(xlabel=f"right of the middle ({unit})", ylabel=f"above the middle ({unit})")


def _circles(axes: Axes, table: pd.DataFrame, shape: tuple[int, int], scale: float, unit: str) -> None:
    """Draw fields as circles of one standard deviation, coloured by what the Gaussian explains of the map."""
    _frame(axes, shape, scale, unit)
    best = table.nlargest(_MOST_CIRCLES, "r2")
    right, up = _places(best, shape, scale)
    width = 2 * best["size"].to_numpy() * scale
    colours = colormaps[_SEQUENTIAL](np.clip(best["r2"].to_numpy(), 0, 1))
    circles = EllipseCollection(
        width, width, np.zeros(len(best)), units="xy", offsets=np.stack([right, up], 1), transOffset=axes.transData
    )
    circles.set(facecolor="none", edgecolor=colours, linewidth=0.8)
    axes.add_collection(circles)
    which = f"The {_MOST_CIRCLES} best fitted fields" if len(table) > len(best) else "Fields"
    axes.set_title(f"{which} (1 SD; dark: R² near 1)")


def _planted(axes: Axes, table: pd.DataFrame, shape: tuple[int, int], scale: float, unit: str) -> None:
    """Join every planted centre to the fitted one."""
    _frame(axes, shape, scale, unit)
    fitted = np.stack(_places(table, shape, scale), axis=1)
    planted = np.stack(_places(table, shape, scale, "planted_"), axis=1)
    axes.add_collection(LineCollection(list(np.stack([planted, fitted], axis=1)), colors=GREY, linewidths=0.6))
    axes.scatter(
        planted[:, 0], planted[:, 1], s=14, facecolor="white", edgecolor=INK, linewidth=0.7, zorder=3, label="planted"
    )
    axes.scatter(fitted[:, 0], fitted[:, 1], s=9, color=PALETTE[1], linewidth=0, zorder=4, label="fitted")
    axes.legend(loc="lower center", ncols=2, fontsize=7.5, handletextpad=0.1, columnspacing=0.8, borderpad=0.6)
    axes.set_title(f"Centres: median distance {table['distance'].median():.2f} pixels")


def _against(axes: Axes, planted: Array, fitted: Array, label: str, title: str, reach: tuple[float, float]) -> None:
    axes.plot(reach, reach, color=GREY, linewidth=0.7)
    axes.scatter(planted, fitted, s=9, color=PALETTE[1], alpha=0.7, linewidth=0)
    axes.set(xlim=reach, ylim=reach, aspect="equal", xlabel=f"planted {label}", ylabel=f"fitted {label}", title=title)


def _cloud(axes: Axes, x: Array, y: Array, labels: tuple[str, str], title: str) -> None:
    axes.scatter(x, y, s=9, color=PALETTE[0], alpha=0.6, linewidth=0)
    axes.set(xlabel=labels[0], ylabel=labels[1], title=title)


def _said(table: pd.DataFrame, shown: pd.DataFrame, truth: bool) -> str:
    text = f"A round Gaussian is fitted to the map of each of {len(table)} targets. "
    text += f"Drawn are {len(shown)}: those that explain {LEAST_R2:.0%} of their map, of targets with a score of "
    text += f"{LEAST_SCORE} or more"
    if truth:
        known, every = int(shown["distance"].notna().sum()), int(table["distance"].notna().sum())
        return f"{text}; {known} of them are among the {every} with a planted field. Lines lead from truth to fit."
    return f"{text}."


@styled
def field_figure(table: pd.DataFrame, shape: tuple[int, int], title: str = "") -> Figure:
    """Draw receptive fields over the image, with polar angles, eccentricities and sizes.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :func:`igc.roi.field_table.field_table`. Where it knows planted fields, fitted ones are drawn against them.
    shape : tuple of int
        Rows and columns of the image.
    title : str
        Heading.

    Returns
    -------
    matplotlib.figure.Figure
    """
    shown = table[(table["r2"] >= LEAST_R2) & (table["score"] >= LEAST_SCORE)]
    if not len(shown):
        reason = f"No Gaussian explains {LEAST_R2:.0%} of the map of a target with a score of {LEAST_SCORE} or more"
        return unavailable(title, f"{reason}, among {len(table)} targets.")
    scale, unit = _unit(shown)
    truth = bool(shown["distance"].notna().any())
    width = 2 * _LEFT + 4 * _PANEL + 3 * _GAP - 0.4
    figure = new_figure(width, _TOP + _PANEL + _BOTTOM)
    height = _TOP + _PANEL + _BOTTOM
    panels = [
        figure.add_axes(
            ((_LEFT + k * (_PANEL + _GAP)) / width, _BOTTOM / height, _PANEL / width, _PANEL / height), label=name
        )
        for k, name in enumerate(("fields", "centres", "angle", "size"))
    ]
    header(figure, title, _said(table, shown, truth), left=0.3)
    _circles(panels[0], shown, shape, scale, unit)
    eccentricity, size = shown["eccentricity"].to_numpy() * scale, shown["size"].to_numpy() * scale
    if truth:
        known = shown[shown["distance"].notna()]
        _planted(panels[1], known, shape, scale, unit)
        right, up = _places(known, shape, scale, "planted_")
        radius = np.hypot(right, up)
        reach = 1.1 * float(max(radius.max(), (known["eccentricity"] * scale).quantile(0.95)))
        name = f"eccentricity ({unit})"
        _against(panels[2], radius, known["eccentricity"].to_numpy() * scale, name, "Eccentricity", (0.0, reach))
        planted = np.degrees(np.arctan2(up, right))
        fitted = planted + (known["angle"].to_numpy() - planted + 180) % 360 - 180
        _against(panels[3], planted, fitted, "polar angle (degrees)", "Polar angle", (-190.0, 190.0))
        panels[3].set(xticks=[-180, -90, 0, 90, 180], yticks=[-180, -90, 0, 90, 180])
        return figure
    labels = f"eccentricity ({unit})", f"size ({unit})"
    _cloud(panels[1], shown["angle"].to_numpy(), eccentricity, ("polar angle (degrees)", labels[0]), "Where fields lie")
    panels[1].set(xlim=(-185, 185), xticks=[-180, -90, 0, 90, 180])
    _cloud(panels[2], eccentricity, size, labels, "Size over eccentricity")
    scores = table["score"].to_numpy()
    _cloud(panels[3], scores, table["r2"].to_numpy(), ("score of the target", "R² of the fit"), "All targets")
    return figure
