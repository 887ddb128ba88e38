"""Bars of how much of the score each region of interest carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from igc.report.panels import Painter
from igc.report.selection import Results, deviations, main_results, model_labels, one_seed_each
from igc.report.style import GREY, INK, fit_text, header, name_row, new_figure, styled, text_width, unavailable
from igc.roi.sets import RoiSet

__all__ = ["MAX_REGIONS", "Bars", "roi_bars", "roi_figure"]

Floats = npt.NDArray[np.float64]

MAX_REGIONS = 12
"""Largest number of regions of a set that get bars of their own."""
_PATTERNS = ((0.0, ""), (0.65, ""), (0.65, "////"), (1.0, ""))
_TALL, _KEY, _LEFT = 2.15, 1.75, 0.3
_TURNED = 1.7
"""Room in inches for a name that is turned."""
_TOTAL = "#6e6e6e"
_SUM = "sum\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}r"


@dataclass(frozen=True)
class Bars:
    """Bars of one model and ROI set.

    Attributes
    ----------
    names : tuple of str
        Regions, then the sum of those left out if there are any, then "rest".
    codes : tuple of int
        Their labels; 0 is the rest, -1 the sum of those left out.
    values, errors : array (target, bar)
        Attributions and their standard errors, NaN where unknown.
    total : array (target,)
        What each row sums to.
    meaning : str
        What the errors are.
    """

    names: tuple[str, ...]
    codes: tuple[int, ...]
    values: Floats
    errors: Floats
    total: Floats
    meaning: str


def roi_bars(result: xr.Dataset, roi_set: str, keep: Sequence[str] | None = None) -> Bars:
    """Take one ROI set out of a result.

    Parameters
    ----------
    result : xarray.Dataset
        An attribution result with ROI sums.
    roi_set : str
        Name of the set.
    keep : sequence of str, optional
        Regions that get bars of their own; the others are summed. Default: all.

    Returns
    -------
    Bars
    """
    inside = np.flatnonzero(result["roi_set"].values == roi_set)
    codes = result["roi_index"].values[inside].astype(int)
    names = [str(name) for name in result["roi_name"].values[inside]]
    values = np.asarray(result["roi_attribution"].values, dtype=np.float64)[:, inside]
    errors, meaning = deviations(result, "roi_standard_error", "roi_estimator_error")
    errors = errors[:, inside] if meaning else np.full(values.shape, np.nan)
    own = [k for k, code in enumerate(codes) if code > 0 and (keep is None or names[k] in keep)]
    others = [k for k, code in enumerate(codes) if code > 0 and k not in own]
    rest = [k for k, code in enumerate(codes) if code == 0]
    columns = [values[:, own], values[:, rest]]
    spreads = [errors[:, own], errors[:, rest]]
    labels, numbers = [names[k] for k in own], [int(codes[k]) for k in own]
    if others:
        # errors of regions go together in ways that a result does not keep, so that their sum has none
        columns.insert(1, values[:, others].sum(axis=1, keepdims=True))
        spreads.insert(1, np.full((len(values), 1), np.nan))
        labels.append(f"{len(others)} others")
        numbers.append(-1)
    joined = np.concatenate(columns, axis=1)
    total = np.asarray(result["score"].values if result.attrs.get("complete") else joined.sum(axis=1), dtype=np.float64)
    labels, numbers = labels + ["rest"] * len(rest), numbers + [0] * len(rest)
    return Bars(tuple(labels), tuple(numbers), joined, np.concatenate(spreads, axis=1), total, meaning)


def _largest(results: Mapping[str, xr.Dataset], roi_set: str) -> list[str]:
    """Return the regions of a set with the largest mean magnitude over models and targets."""
    size: dict[str, float] = {}
    for result in results.values():
        bars = roi_bars(result, roi_set)
        for name, code, column in zip(bars.names, bars.codes, bars.values.T, strict=True):
            if code > 0:
                size[name] = size.get(name, 0.0) + float(np.abs(np.nan_to_num(column)).mean())
    return sorted(size, key=lambda name: -size[name])[:MAX_REGIONS]


def _faded(colour: str, share: float) -> tuple[float, float, float]:
    red, green, blue = (part + (1 - part) * share for part in to_rgb(colour))
    return red, green, blue


def _mean(values: Floats) -> Floats:
    """Return means over targets of the known values, 0 where none is known."""
    known = np.isfinite(values)
    return np.asarray(np.where(known, values, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1), dtype=np.float64)


def _draw_model(
    axes: Axes, bars: Bars, offset: float, width: float, pattern: tuple[float, str], tints: list[str]
) -> None:
    places = np.array([*range(len(bars.names)), len(bars.names) + 0.4]) + offset
    columns = np.column_stack([bars.values, bars.total])
    errors = np.append(_mean(bars.errors), 0.0)
    for x, height, error, tint in zip(places, _mean(columns), errors, tints, strict=True):
        axes.bar(
            x,
            height,
            width * 0.92,
            color=_faded(tint, pattern[0]),
            edgecolor=tint,
            linewidth=0.9,
            hatch=pattern[1],
            yerr=error if error > 0 else None,
            error_kw={"elinewidth": 1.0, "capsize": 2.0, "ecolor": INK, "zorder": 4},
        )
    if len(columns) > 1:
        spread = np.linspace(-1, 1, len(columns)) * width * 0.34
        for x, column in zip(places, columns.T, strict=True):
            axes.scatter(x + spread, column, s=8, color=INK, alpha=0.55, edgecolors="white", linewidths=0.3, zorder=3)


def _draw_set(axes: Axes, models: Sequence[Bars], colours: Mapping[int, str], inches: float) -> None:
    """Draw one group of bars a region with one bar a model, then the total."""
    groups, width = len(models[0].names), 0.78 / len(models)
    tints = [*(colours.get(code, GREY) for code in models[0].codes), _TOTAL]
    for m, bars in enumerate(models):
        offset = (m - (len(models) - 1) / 2) * width
        _draw_model(axes, bars, offset, width, _PATTERNS[m % len(_PATTERNS)], tints)
    axes.axhline(0, color=INK, linewidth=0.7)
    axes.axvline(groups - 0.3, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)))
    axes.set_xlim(-0.6, groups + 0.95)
    axes.spines["bottom"].set_visible(False)
    axes.set_ylabel("correlation units")
    axes.tick_params(axis="x", length=0, pad=4)
    places = [*range(groups), groups + 0.4]
    names = [*models[0].names, _SUM]
    if _turned(models[0].names, inches):
        labels = [fit_text(name, _TURNED, 8.1) for name in names]
        axes.set_xticks(places, labels, rotation=40, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(places, [fit_text(name, _room(groups, inches), 8.1, lines=3) for name in names])


def _room(groups: int, inches: float) -> float:
    return inches / (groups + 1.55) * 0.94


def _turned(names: Sequence[str], inches: float) -> bool:
    """Return whether names have a word too wide to stand upright below their bars."""
    room = _room(len(names), inches)
    words = [word for name in names for word in name.replace("_", " ").split()]
    lines = [fit_text(name, room, 8.1, lines=9).count("\n") + 1 for name in names]
    return max(lines) > 3 or max(text_width(word, 8.1) for word in words) > room


def _models_of(results: Mapping[str, xr.Dataset], roi_set: str) -> list[Bars]:
    chosen = _largest(results, roi_set)
    return [roi_bars(result, roi_set, chosen) for result in results.values() if roi_set in result["roi_set"].values]


def _text(results: Mapping[str, xr.Dataset], meaning: str) -> str:
    targets = next(iter(results.values())).sizes["target"]
    said = "The regions of a set and its rest sum to r, the correlation of predictions with the truth."
    if targets > 1:
        said += f" Bars: mean over {targets} targets; dots: each target."
        meaning = meaning and f"{meaning}, averaged over targets"
    return f"{said} Error bars: {meaning}." if meaning else said


@styled
def roi_figure(
    results: Results, rois: Mapping[str, RoiSet] | None = None, painter: Painter | None = None, title: str = ""
) -> Figure:
    """Draw, for each ROI set, what every region adds to the score, with the models side by side.

    Parameters
    ----------
    results : mapping
        Attribution results by (model folder, result name); IGC is shown, or another complete method without it.
    rois : mapping of str to RoiSet, optional
        The sets, for their colours and the key maps.
    painter : Painter, optional
        Draws the key map of a set.
    title : str
        Name of the study.

    Returns
    -------
    matplotlib.figure.Figure
        A note instead of bars where no result has ROI sums.
    """
    main = {model: one for model, one in main_results(results).items() if "roi_attribution" in one}
    kept, seeds = one_seed_each(main)
    main = {model: main[model] for model in kept}
    names = list(dict.fromkeys(str(name) for one in main.values() for name in one["roi_set"].values))
    if not names:
        return unavailable(f"{title} · regions of interest", "No ROI sets were defined for this study.")
    full = 9.4
    key = _KEY + 0.3 if painter is not None and rois else 0.0
    left, inches = _LEFT + key + 0.62, full - 2 * _LEFT - key - 0.62
    labels = list(model_labels(kept).values())
    sets = {name: _models_of(main, name) for name in names}
    extra = [0.8 if _turned(models[0].names, inches) else 0.0 for models in sets.values()]
    figure = new_figure(full, 1.0 + len(names) * (_TALL + 0.92) + sum(extra) + (0.15 if seeds else 0))
    height = float(figure.get_size_inches()[1])
    for k, (name, models) in enumerate(sets.items()):
        top = 1.28 + k * (_TALL + 0.92) + sum(extra[:k])
        roi_set = (rois or {}).get(name)
        colours = {code: region.color for code, region in roi_set.regions.items()} if roi_set else {}
        axes = figure.add_axes((left / full, 1 - (top + _TALL) / height, inches / full, _TALL / height))
        axes.set_label(f"bars {name}")
        _draw_set(axes, models, colours, inches)
        figure.text(
            _LEFT / full,
            1 - (top - 0.12) / height,
            fit_text(name, 2.2, 9.6, bold=True),
            size=9.5,
            weight="bold",
            va="bottom",
        )
        fills = [(label, _faded(INK, _PATTERNS[m % 4][0]), _PATTERNS[m % 4][1]) for m, label in enumerate(labels)]
        name_row(figure, fills, full - _LEFT, top - 0.12, left=2.6)
        if key and roi_set is not None and painter is not None:
            tall = min(_KEY * painter.aspect, _TALL)
            place = ((_LEFT) / full, 1 - (top + tall) / height, tall / painter.aspect / full, tall / height)
            painter.draw_regions(figure.add_axes(place, label=f"key {name}"), roi_set.labels.astype(np.int64), colours)
    meanings = [models[0].meaning for models in sets.values()]
    header(figure, f"{title} · regions of interest", _text(main, meanings[0]), left=_LEFT)
    if seeds:
        figure.text(_LEFT / full, 0.14 / height, seeds, size=8, style="italic", color="#444444")
    return figure
