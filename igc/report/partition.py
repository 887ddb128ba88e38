"""A network beside a linear model, region by region: what they read, and what only one of them can."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from igc.comparison.partition import READINGS
from igc.report.selection import MAIN_METHOD
from igc.report.style import GREY, INK, PALETTE, fit_text, header, name_row, new_figure, styled, unavailable

__all__ = ["MAX_REGIONS", "partition_figure"]

MAX_REGIONS = 12
"""Largest number of regions shown for a target, those with the largest values."""
_MAX_TARGETS = 4
_WIDE, _TALL, _LEFT, _NAMES, _GAP, _WORDS = 11.4, 0.34, 0.3, 1.55, 0.5, 2.3
_SUMS = (("network", "network: IGC", PALETTE[0]), ("linear", "linear: product measure", PALETTE[1]))
_SHARES = (("alone", "linear: R\N{SUPERSCRIPT TWO} alone", PALETTE[5]), ("unique", "linear: unique", PALETTE[2]))


def _chosen(table: pd.DataFrame) -> pd.DataFrame:
    """Keep one pair of models of one seed, with IGC of the network where it is there."""
    best = table[table["method"] == MAIN_METHOD]
    table = best if len(best) else table
    first = table.iloc[0]
    keys = ["model", "method", "linear_model", "linear_method", "set"]
    return table[np.logical_and.reduce([table[key] == first[key] for key in keys])]


def _regions(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the largest regions of a target in the order of the set, the rest last."""
    size = rows[["network", "linear", "alone", "unique"]].abs().max(axis=1)
    kept = rows.loc[size.sort_values(ascending=False).index[:MAX_REGIONS]]
    place = kept["index"].where(kept["index"] > 0, np.inf)
    return kept.loc[place.sort_values(kind="stable").index]


def _bars(axes: Axes, rows: pd.DataFrame, measures: Sequence[tuple[str, str, str]], stars: bool) -> None:
    places, height = np.arange(len(rows), dtype=float), 0.36
    for i, (name, _, colour) in enumerate(measures):
        errors = rows[f"{name}_se"].to_numpy(dtype=float)
        axes.barh(
            places + (i - 0.5) * height,
            rows[name].to_numpy(dtype=float),
            height * 0.94,
            color=colour,
            xerr=np.nan_to_num(1.96 * errors),
            error_kw={"elinewidth": 0.9, "ecolor": INK},
        )
    if stars:
        reach = (rows[["network", "linear"]].max(axis=1) + 2.4 * rows[["network_se", "linear_se"]].max(axis=1)).clip(0)
        for place, x, q in zip(places, reach.fillna(0), rows["q"], strict=True):
            if q < 0.05:
                axes.text(x + 0.01, place, "*", va="center", ha="left", size=11, color=INK)
    axes.axvline(0, color=INK, linewidth=0.7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GREY, alpha=0.25, linewidth=0.5)
    axes.set_axisbelow(True)


def _readings(figure: Figure, part: pd.DataFrame, top: float, height: float) -> None:
    """Write beside each region what a reader may conclude."""
    left = _WIDE - _LEFT - _WORDS + 0.15
    for row, name in enumerate(part["reading"]):
        said = fit_text(READINGS.get(str(name), ""), _WORDS - 0.15, 7.8, lines=2)
        colour = GREY if name in ("nothing", "harmful") else INK
        y = 1 - (top + _TALL * (row + 0.5)) / height
        figure.text(left / _WIDE, y, said, size=7.7, color=colour, va="center", linespacing=1.0)


@styled
def partition_figure(table: pd.DataFrame, title: str = "") -> Figure:
    """Draw, for each target, what regions add to the score of either model, and what they explain in the linear one.

    Parameters
    ----------
    table : pandas.DataFrame
        Table of :func:`igc.comparison.partition.beside_partition`; the first pair of models with IGC is shown.
    title : str
        Name of the study.

    Returns
    -------
    matplotlib.figure.Figure
        A note instead where the table is empty.
    """
    heading = f"{title} · network and linear model"
    if table.empty:
        return unavailable(
            heading, "No linear model of this study is banded (fit: banded), or no network is beside it."
        )
    shown = _chosen(table)
    targets = list(dict.fromkeys(shown["target"]))[:_MAX_TARGETS]
    rows = [_regions(shown[shown["target"] == target]) for target in targets]
    tops, height = [], 1.3
    for part in rows:
        tops.append(height + 0.3)
        height += 0.3 + _TALL * len(part) + 0.65
    figure = new_figure(_WIDE, height)
    room = (_WIDE - 2 * _LEFT - _NAMES - _GAP - _WORDS) / 2
    shared: dict[int, Axes] = {}
    for target, part, top in zip(targets, rows, tops, strict=True):
        tall = _TALL * len(part)
        for side, (measures, label) in enumerate(
            ((_SUMS, "adds to the correlation"), (_SHARES, "share of the variance, R\N{SUPERSCRIPT TWO}"))
        ):
            left = _LEFT + _NAMES + side * (room + _GAP)
            place = (left / _WIDE, 1 - (top + tall) / height, room / _WIDE, tall / height)
            # all targets on one scale, so that a share of nothing looks like nothing
            axes = figure.add_axes(place, sharex=shared.get(side))
            shared.setdefault(side, axes)
            axes.set_label(f"{target} {side}")
            _bars(axes, part, measures, stars=side == 0)
            axes.set_xlabel(label, size=8.5)
            names = [fit_text(name, _NAMES - 0.15, 8.6) for name in part["roi"].astype(str)]
            axes.set_yticks(range(len(part)), names if side == 0 else [""] * len(part), size=8.5)
        _readings(figure, part, top, height)
        first = part.iloc[0]
        # rounded first and then added to 0, so that it is never "-0.00"
        scores = f"{target}: linear R\N{SUPERSCRIPT TWO} = {round(float(first['r2']), 2) + 0.0:.2f}"
        figure.text(_LEFT / _WIDE, 1 - (top - 0.12) / height, scores, size=9.5, weight="bold", va="bottom")
    first = shown.iloc[0]
    said = (
        f"{first['model']} ({first['method']}) beside {first['linear_model']} ({first['linear_method']}), regions of "
        f"{first['set']}. Lines: 95 % intervals; star: the two differ (q < 0.05). Unique: R\N{SUPERSCRIPT TWO} lost "
        "without the region; alone above it: redundant; below it: suppressor."
    )
    header(figure, heading, said, left=_LEFT)
    fills = [(label, colour, "") for _, label, colour in (*_SUMS, *_SHARES)]
    name_row(figure, fills, _WIDE - _LEFT, 1.16)
    return figure
