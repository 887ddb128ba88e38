"""How good a sampler is: how likely the truth is under it, how close its fills come, and what they look like."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from igc.report.style import GREY, INK, PALETTE, header, new_figure, number, styled
from igc.store.arrays import read_values

__all__ = ["sampler_figure"]

_LEFT, _CELL, _GAP, _TOP, _BAR = 0.3, 0.92, 0.06, 0.7, 1.1
_ENERGY, _NATS = "energy score of fills (smaller is better)", "log-likelihood of the truth, nats a component"


def _bars(axes: Axes, label: str, given: float, alone: float, names: tuple[str, str]) -> None:
    """Draw two numbers side by side, one with the rest and one without."""
    values = [given, alone]
    axes.barh([1, 0], values, color=[PALETTE[0], GREY], height=0.6)
    axes.set_yticks([1, 0], list(names))
    axes.set_title(label, loc="left", fontsize=8.5, color=INK)
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.3 * (high - low or 1.0)
    axes.set_xlim(low - room * (low < 0), high + room * (high > 0))
    for place, value in zip([1, 0], values, strict=True):
        side = "left" if value >= 0 else "right"
        axes.annotate(
            number(value),
            (value, place),
            (4 if value >= 0 else -4, 0),
            textcoords="offset points",
            va="center",
            ha=side,
            fontsize=8,
            color=INK,
        )
    axes.axvline(0, color=INK, linewidth=0.6)
    axes.set_xticks([])


def _grey(values: np.ndarray) -> np.ndarray:
    """Return the mean over channels of an image (channel, row, column) or (row, column)."""
    return np.asarray(values.mean(axis=0) if values.ndim == 3 else values)


def _pictures(figure: Figure, examples: xr.Dataset, top: float, width: float, height: float) -> None:
    """Draw each example in a row: as it is, and filled in several times."""
    original, filled, block = (read_values(examples[name]) for name in ("original", "filled", "block"))
    shown = np.concatenate([original[:, None], filled], axis=1)
    for i, row in enumerate(shown):
        inside = np.argwhere(_grey(block[i]) > 0)
        (r, c), side = inside.min(axis=0), np.ptp(inside, axis=0) + 1
        low, high = float(original[i].min()), float(original[i].max())
        for j, picture in enumerate(row):
            left = _LEFT + j * (_CELL + _GAP) + (0.18 if j else 0)
            down = top + 0.25 + i * (_CELL + _GAP)
            place = (left / width, 1 - (down + _CELL) / height, _CELL / width, _CELL / height)
            axes = figure.add_axes(place, label=f"example {i} {j}")
            axes.imshow(_grey(picture), cmap="gray_r", vmin=low, vmax=high, aspect="auto")
            axes.add_patch(
                Rectangle((c - 0.5, r - 0.5), side[1], side[0], fill=False, edgecolor=PALETTE[1], linewidth=1.2)
            )
            axes.set(xticks=[], yticks=[])
            for spine in axes.spines.values():
                spine.set(visible=True, color="#c8c8c8", linewidth=0.6)
            if i == 0:
                axes.set_title("original" if j == 0 else f"fill {j}", fontsize=8.5, color=INK)


@styled
def sampler_figure(quality: pd.DataFrame, kind: str, examples: xr.Dataset | None, title: str) -> Figure:
    """Draw how good a sampler is.

    Parameters
    ----------
    quality : pandas.DataFrame
        A row a fold: columns log_likelihood, marginal, energy, energy_marginal.
    kind : str
        Name of the kind.
    examples : xarray.Dataset, optional
        ``original`` and ``block`` (example, ...), ``filled`` (example, draw, ...), of images.
    title : str
        Name of the study.

    Returns
    -------
    matplotlib.figure.Figure
    """
    mean = quality[["log_likelihood", "marginal", "energy", "energy_marginal"]].mean()
    dense = bool(np.isfinite(mean["log_likelihood"]))
    rows = 0 if examples is None else examples.sizes["example"]
    columns = 6 if examples is None else 1 + examples.sizes["draw"]
    width = 2 * _LEFT + columns * (_CELL + _GAP) + 0.18
    top = _TOP + (_BAR if dense else 0) + _BAR
    height = top + (0.4 + rows * (_CELL + _GAP) if rows else 0) + 0.1
    figure = new_figure(width, height)
    what = "held-out samples, mean over folds" if len(quality) > 1 else "held-out samples"
    frame = "" if examples is None else " Frame: the part that is drawn anew."
    header(figure, title, f"A sampler of kind {kind}, on {what}.{frame}", left=_LEFT)
    names = ("given the rest", "by itself")
    bars = [(_NATS, mean["log_likelihood"], mean["marginal"])] if dense else []
    bars.append((_ENERGY, mean["energy"], mean["energy_marginal"]))
    for k, (label, given, alone) in enumerate(bars):
        down = _TOP + _BAR * k
        place = (
            (_LEFT + 1.0) / width,
            1 - (down + 0.25 + 0.6) / height,
            (width - 2 * _LEFT - 1.1) / width,
            0.6 / height,
        )
        _bars(figure.add_axes(place, label=label), label, float(given), float(alone), names)
    if examples is not None:
        _pictures(figure, examples, top, width, height)
    return figure
