"""How maps are judged: every method on every yardstick, and the curves behind them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from igc.comparison.criteria import RANDOM, YARDSTICKS
from igc.report.selection import method_label, model_labels, one_seed_each
from igc.report.style import GREY, INK, PALETTE, fit_text, header, new_figure, styled, text_width, unavailable

__all__ = ["curves_figure", "yardstick_figure"]

_LEFT = 0.3
_NOTHING = "No map of this study was judged."
_MAX_MODELS = 4
_ACROSS = 5
_WIDE, _GAP, _TOP = 1.75, 0.28, 1.2
_TITLES = {
    "deletion": "deletion",
    "insertion": "insertion",
    "sensitivity_n": "Sensitivity-N",
    "infidelity": "infidelity",
    "score_deletion": "score, best deleted",
    "randomization": "random weights",
    "heat_ratio": "heat ratio",
    "recovery": "recovery AUC",
    "remove_retrain": "remove and retrain",
    "keep_retrain": "keep and retrain",
}
_REFERENCES = {
    "zero": (PALETTE[0], "o"),
    "mean": (PALETTE[1], "D"),
    "blurred": (PALETTE[2], "s"),
    "infill": (PALETTE[7], "^"),
}
_OTHERS = {"truth": (PALETTE[3], "o"), "rank": (PALETTE[6], "v"), "ssim": (PALETTE[5], "P")}


def _marks(reference: str) -> tuple[str, str]:
    return {**_REFERENCES, **_OTHERS}.get(reference, (PALETTE[4], "^"))


def _shown(table: pd.DataFrame) -> tuple[list[str], str]:
    """Return the models that are shown, and a note on those that are not."""
    models, note = one_seed_each([str(model) for model in table["model"] if "-seed" in str(model)])
    if len(models) > _MAX_MODELS:
        note = f"{note} The first {_MAX_MODELS} of {len(models)} models are shown.".strip()
    return models[:_MAX_MODELS], note


def _rows(table: pd.DataFrame, models: Sequence[str]) -> list[tuple[str, str]]:
    """Return model and method of each row, the floor of each model last."""
    found = []
    for model in models:
        methods = list(dict.fromkeys(table.loc[table["model"] == model, "method"]))
        found += [(model, method) for method in sorted(methods, key=lambda m: (m == RANDOM, m != "igc", m))]
    return found


def _dots(axes: Axes, rows: pd.DataFrame, keys: Sequence[tuple[str, str]]) -> None:
    """Draw value and error of each method by reference, and the floor of each model as a line."""
    references = list(dict.fromkeys(rows["reference"]))
    for k, reference in enumerate(references):
        colour, marker = _marks(str(reference))
        here = rows[rows["reference"] == reference].set_index(["model", "method"])
        shift = 0.22 * (k - (len(references) - 1) / 2)
        for position, key in enumerate(keys):
            if key not in here.index:
                continue
            value, error = float(here.loc[key, "value"]), float(here.loc[key, "se"])
            if not np.isfinite(value):
                continue
            axes.errorbar(
                value,
                position + shift,
                xerr=error if np.isfinite(error) else None,
                fmt=marker,
                color=colour,
                markersize=3.6,
                markerfacecolor="white" if key[1] == RANDOM else colour,
                elinewidth=1.0,
                capsize=0,
            )
    axes.margins(x=0.12)


def _panel(figure: Figure, place: Sequence[float], name: str, rows: pd.DataFrame, keys: list[tuple[str, str]]) -> Axes:
    width, height = figure.get_size_inches()
    left, top, wide, tall = place
    axes = figure.add_axes((left / width, 1 - (top + tall) / height, wide / width, tall / height), label=name)
    _dots(axes, rows, keys)
    axes.set_ylim(len(keys) - 0.4, -0.6)
    better = str(rows["better"].iloc[0])
    arrow = "better \N{RIGHTWARDS ARROW}" if better == "higher" else "\N{LEFTWARDS ARROW} better"
    axes.set_title(_TITLES.get(name, name), size=9, weight="bold", color=INK, loc="left", pad=16)
    axes.text(0, 1.02, arrow, transform=axes.transAxes, size=7.5, color="#555555", va="bottom")
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=7)
    axes.locator_params(axis="x", nbins=4)
    axes.spines["left"].set_visible(False)
    for position, (before, after) in enumerate(itertools.pairwise(keys)):
        if before[0] != after[0]:
            axes.axhline(position + 0.5, color=GREY, linewidth=0.6)
    axes.set_yticks(range(len(keys)), [""] * len(keys))
    axes.grid(axis="y", color="#ececec", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    return axes


def _legend(figure: Figure, references: Sequence[str]) -> None:
    handles = [
        Line2D([], [], color=_marks(name)[0], marker=_marks(name)[1], linestyle="none", markersize=4, label=name)
        for name in references
    ]
    width, height = figure.get_size_inches()
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(_LEFT / width, 0.04 / height),
        ncols=max(len(handles), 1),
        fontsize=8,
        handletextpad=0.1,
        columnspacing=1.2,
        borderaxespad=0,
    )


@styled
def yardstick_figure(table: pd.DataFrame, title: str = "") -> Figure:
    """Draw every method on every yardstick, with error bars.

    Parameters
    ----------
    table : pandas.DataFrame
        As :func:`igc.comparison.criteria.join_models` returns it.
    title : str
        Name of the study.

    Returns
    -------
    matplotlib.figure.Figure
        A panel a yardstick; the row of random rankings, with open marks, is the floor.
    """
    heading = f"{title} · how maps are judged"
    if not len(table):
        return unavailable(heading, _NOTHING)
    models, note = _shown(table)
    keys = _rows(table, models)
    # sums over regions, by set and by what stands in, and stability are in the figure of ranks
    table = table[table["yardstick"].isin(list(_TITLES))]
    names = [name for name in YARDSTICKS if (table["yardstick"] == name).any()]
    if not keys or not names:
        return unavailable(heading, _NOTHING)
    labels = model_labels(models)
    said = [method_label(method) + (f" · {labels[model]}" if len(models) > 1 else "") for model, method in keys]
    room = min(max(text_width(one, 8.1) for one in said), 2.6) + 0.14
    lines = -(-len(names) // _ACROSS)
    across = -(-len(names) // lines)
    tall = 0.26 * len(keys) + 0.1
    full = max(6.6, _LEFT + room + across * (_WIDE + _GAP) + 0.1)
    height = _TOP + lines * tall + (lines - 1) * 0.95 + 0.72
    figure = new_figure(full, height)
    subtitle = (
        f"{labels[models[0]]}. " if len(models) == 1 else ""
    ) + "Mean \N{PLUS-MINUS SIGN} 1 standard error over samples; colours: what stands in for parts that are taken away."
    header(figure, heading, f"{subtitle} {note}".strip(), left=_LEFT)
    for k, name in enumerate(names):
        left = _LEFT + room + (k % across) * (_WIDE + _GAP)
        top = _TOP + (k // across) * (tall + 0.95)
        rows = table[(table["yardstick"] == name) & table["model"].isin(models)]
        axes = _panel(figure, (left, top, _WIDE, tall), name, rows, keys)
        if k % across == 0:
            axes.set_yticks(range(len(keys)), [fit_text(one, room - 0.1, 8.1) for one in said], size=8)
    _legend(figure, list(dict.fromkeys(table["reference"])))
    return figure


# --- curves ---------------------------------------------------------------------------------------------------------

_AXES = {
    "deletion": "share taken away",
    "insertion": "share put in",
    "score_deletion": "share taken away",
    "sensitivity_n": "share of units in a subset",
    "randomization": "share of layers with random weights",
}
_CURVES = (
    ("deletion", "mean"),
    ("deletion", "infill"),
    ("insertion", "mean"),
    ("insertion", "infill"),
    ("score_deletion", "mean"),
    ("sensitivity_n", "mean"),
)
_STYLES = ("-", (0, (4, 1.5)), (0, (1, 1)))


def _line(axes: Axes, rows: pd.DataFrame, colour: str, style: object) -> None:
    x, y, error = (rows[name].to_numpy(dtype=np.float64) for name in ("x", "value", "se"))
    axes.plot(x, y, color=colour, linestyle=style, linewidth=1.3)
    axes.fill_between(x, y - np.nan_to_num(error), y + np.nan_to_num(error), color=colour, alpha=0.14, linewidth=0)


def _looks(methods: Sequence[str]) -> dict[str, tuple[str, object]]:
    """Return colour and dash of each method; the floor is grey."""
    looks: dict[str, tuple[str, object]] = {}
    for k, method in enumerate(one for one in methods if one != RANDOM):
        looks[method] = (PALETTE[k % len(PALETTE)], _STYLES[k // len(PALETTE) % len(_STYLES)])
    return {**looks, RANDOM: (GREY, _STYLES[1])}


@styled
def curves_figure(curves: pd.DataFrame, title: str = "", categories: bool = True) -> Figure:
    """Draw the curves behind the yardsticks, a row of panels a model.

    Parameters
    ----------
    curves : pandas.DataFrame
        Curves of all models, with the column ``model``.
    title : str
        Name of the study.
    categories : bool
        Whether answers are probabilities, or squared changes of a value.

    Returns
    -------
    matplotlib.figure.Figure
    """
    heading = f"{title} · curves of insertion and deletion"
    if not len(curves):
        return unavailable(heading, _NOTHING)
    models, note = _shown(curves)
    kinds = [pair for pair in _CURVES if ((curves["curve"] == pair[0]) & (curves["reference"] == pair[1])).any()]
    if not models or not kinds:
        return unavailable(heading, _NOTHING)
    methods = sorted(dict.fromkeys(curves["method"]), key=lambda m: (m == RANDOM, m != "igc", m))
    looks, labels = _looks(methods), model_labels(models)
    tall, wide, gap = 1.75, 1.9, 0.62
    full = max(6.6, _LEFT + 0.45 + len(kinds) * (wide + gap))
    columns = max(2, int((full - 2 * _LEFT) // 1.75))
    names = 0.2 * -(-len(methods) // columns) + 0.1
    height = 1.15 + len(models) * (tall + 0.75) + names
    figure = new_figure(full, height)
    answer = "probability of the class" if categories else "squared change of the value, in variances of it"
    subtitle = (
        "Parts that are taken away are put to the mean of the data, or filled in from the closest training sample."
    )
    subtitle = f"{subtitle} Deletion and insertion: {answer}. Bands: 1 standard error. {note}"
    header(figure, heading, subtitle.strip(), left=_LEFT)
    for row, model in enumerate(models):
        for k, (name, reference) in enumerate(kinds):
            left, top = _LEFT + 0.45 + k * (wide + gap), 1.1 + row * (tall + 0.75)
            place = (left / full, 1 - (top + tall) / height, wide / full, tall / height)
            axes = figure.add_axes(place, label=f"{model} {name} {reference}")
            here = curves[(curves["model"] == model) & (curves["curve"] == name) & (curves["reference"] == reference)]
            for method in methods:
                _line(axes, here[here["method"] == method], *looks[method])
            if name == "sensitivity_n":
                axes.set_xscale("log")
                axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
                axes.xaxis.set_minor_formatter(NullFormatter())
            said = f"{_TITLES[name]}, in-fill" if reference == "infill" else _TITLES[name]
            said = said if len(models) == 1 else f"{said} · {labels[model]}"
            axes.set_title(fit_text(said, wide, 9.1, bold=True), size=9, weight="bold", color=INK, loc="left")
            axes.set_xlabel(_AXES[name])
            axes.tick_params(labelsize=7)
    handles = [
        Line2D([], [], color=looks[m][0], linestyle=looks[m][1], label=fit_text(method_label(m), 1.35, 8))  # type: ignore[arg-type]
        for m in methods
    ]
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(_LEFT / full, 0.05 / height),
        ncols=columns,
        fontsize=8,
        borderaxespad=0,
        handlelength=1.6,
    )
    return figure
