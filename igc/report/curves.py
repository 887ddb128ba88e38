"""Learning curves: loss on training and validation samples by epoch, one line a fold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

from igc.report.selection import model_labels
from igc.report.style import GREY, INK, PALETTE, fit_text, header, new_figure, styled, unavailable

__all__ = ["MAX_CURVES", "curve_figure"]

MAX_CURVES = 12
"""Largest number of models that get a panel."""
_WIDE, _TALL, _LEFT = 2.75, 1.95, 0.3


def _draw(axes: Axes, history: pd.DataFrame) -> None:
    for _, rows in history.groupby("fold", sort=True):
        ordered = rows.sort_values("epoch")
        epochs = ordered["epoch"].to_numpy(dtype=np.float64)
        validation = ordered["validation_loss"].to_numpy(dtype=np.float64)
        axes.plot(epochs, ordered["train_loss"], color=GREY, linewidth=0.9, alpha=0.8)
        axes.plot(epochs, validation, color=PALETTE[0], linewidth=1.3, alpha=0.9)
        if np.isfinite(validation).any():
            best = int(np.nanargmin(validation))
            axes.plot(epochs[best], validation[best], "o", color=PALETTE[1], markersize=4, zorder=4)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    # a first epoch far above the others would flatten the part that tells whether a model overfits
    losses = history[["train_loss", "validation_loss"]].to_numpy(dtype=np.float64)
    low, high = np.nanmin(losses), np.nanmax(losses)
    if low > 0 and high / low > 20:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


@styled
def curve_figure(histories: Mapping[str, pd.DataFrame], title: str = "") -> Figure:
    """Draw the learning curves of all networks.

    Parameters
    ----------
    histories : mapping of str to pandas.DataFrame
        By folder name of the model: columns fold, epoch, train_loss, validation_loss. May be empty.
    title : str
        Name of the study.

    Returns
    -------
    matplotlib.figure.Figure
        A note instead of curves where no network was trained.
    """
    heading = f"{title} · learning curves"
    shown = dict(list(histories.items())[:MAX_CURVES])
    if not shown:
        return unavailable(heading, "No network was trained in this study: linear and analytic models have no epochs.")
    labels = model_labels(histories)
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    wide = 5.3 if columns == 1 else _WIDE
    note = f"The first {MAX_CURVES} of {len(histories)} networks are shown." if len(histories) > MAX_CURVES else ""
    full = max(6.6, 2 * _LEFT + columns * (wide + 0.65))
    height = 0.95 + rows * (_TALL + 0.8) + (0.15 if note else 0)
    figure = new_figure(full, height)
    subtitle = "Grey: training loss. Blue: validation loss. Dot: the epoch that was kept. One pair of lines a fold."
    header(figure, heading, subtitle, left=_LEFT)
    for k, (model, history) in enumerate(shown.items()):
        left = _LEFT + 0.5 + (k % columns) * (wide + 0.65)
        top = 1.05 + (k // columns) * (_TALL + 0.8)
        place = (left / full, 1 - (top + _TALL) / height, wide / full, _TALL / height)
        axes = figure.add_axes(place, label=f"curves {model}")
        _draw(axes, history)
        axes.set_title(fit_text(labels[model], wide, 9.1, bold=True), loc="left", color=INK, weight="bold", size=9)
    if note:
        figure.text(_LEFT / full, 0.12 / height, note, size=8, style="italic", color="#444444")
    return figure
