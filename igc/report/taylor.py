"""What regions do alone and together: parts of the score, interactions, and the principles that methods keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from igc.attribution.taylor.weights import ALLOWED, WEIGHTINGS, Principles, principles
from igc.report.selection import Results, method_label, model_labels
from igc.report.style import (
    DIVERGING,
    GREY,
    INK,
    PALETTE,
    fit_text,
    header,
    name_row,
    new_figure,
    number,
    styled,
    text_width,
    unavailable,
)
from igc.roi.sets import RoiSet

__all__ = ["judged_methods", "region_names", "taylor_figure", "taylor_results"]

Floats = npt.NDArray[np.float64]

MAX_ROWS = 3
"""Largest number of results that are drawn, one below the other."""
MAX_CELLS = 12
"""Largest number of regions whose matrix has room for numbers."""
SURE = 2.0
"""Standard errors from which an interaction is printed in bold."""
_LEFT, _FULL = 0.3, 12.6
_TOP, _TALL, _GAP, _BELOW = 1.12, 2.5, 0.75, 0.65
_MET, _MISSED = "#009E73", "#D55E00"
_PARTS = (
    ("first", "first order", PALETTE[0]),
    ("independent", "alone, higher", PALETTE[5]),
    ("interactive", "with others", PALETTE[1]),
)
_COLUMNS = ("left out", "alone", "together", "hidden", "kept")


def taylor_results(results: Results) -> dict[tuple[str, str], xr.Dataset]:
    """Return the results that hold the parts of IGC, by model and result name."""
    return {
        key: result
        for key, result in results.items()
        if "part_attribution" in result and result.attrs.get("method") == "taylor_igc"
    }


def region_names(result: xr.Dataset, rois: Mapping[str, RoiSet]) -> list[str]:
    """Return the names of the regions of a result.

    Parameters
    ----------
    result : xarray.Dataset
        With a coordinate ``region`` of labels.
    rois : mapping of str to RoiSet
        The sets of the study, one of which the settings of the result may name.

    Returns
    -------
    list of str
        Names of the set, or the labels.
    """
    settings: Any = result.attrs.get("settings") or {}
    chosen = (settings.get("options") or {}).get("features") if isinstance(settings, Mapping) else None
    labels = [int(label) for label in result["region"].values]
    if not isinstance(chosen, str) or chosen not in rois:
        return [str(label) for label in labels]
    return [rois[chosen].region(label).name for label in labels]


def judged_methods(result: xr.Dataset) -> list[Principles]:
    """Judge all methods with known weights by the sizes of effects of a result, means over targets.

    Parameters
    ----------
    result : xarray.Dataset
        With the variable ``effect_size`` (target, size).

    Returns
    -------
    list of Principles
    """
    means = {str(name): float(_mean(result["effect_size"].sel(size=name).values)) for name in result["size"].values}
    error, hidden = means["first_order_error"], means["hidden_zero"]
    return [principles(method, means, error, hidden) for method in WEIGHTINGS]


def _mean(values: npt.ArrayLike) -> Floats:
    """Return means over targets of the known values, 0 where none is known."""
    array = np.asarray(values, dtype=np.float64)
    known = np.isfinite(array)
    return np.asarray(np.where(known, array, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))


def _errors(result: xr.Dataset, name: str) -> Floats:
    """Return both errors of a table together; unknown ones count as none."""
    parts = [np.nan_to_num(result[f"{name}_{kind}"].values) for kind in ("standard_error", "estimator_error")]
    return np.asarray(np.hypot(*parts))


def _bars(axes: Axes, result: xr.Dataset, names: Sequence[str], room: float) -> None:
    """Stack the parts of each region: what is positive upwards, what is negative downwards."""
    values, errors = _mean(result["part_attribution"].values), _mean(_errors(result, "part_attribution"))
    above, below = np.zeros(len(names)), np.zeros(len(names))
    places = np.arange(len(names))
    for part, (_, _, colour) in enumerate(_PARTS):
        height = values[part]
        base = np.where(height >= 0, above, below)
        axes.bar(places, height, 0.72, bottom=base, color=colour, edgecolor="white", linewidth=0.5)
        shift = (part - 1) * 0.16
        axes.errorbar(
            places + shift, base + height, errors[part], fmt="none", ecolor=INK, elinewidth=0.8, capsize=1.5, zorder=4
        )
        above, below = above + np.maximum(height, 0), below + np.minimum(height, 0)
    total = values.sum(axis=0)
    axes.scatter(places, total, s=22, marker="D", color="white", edgecolors=INK, linewidths=0.9, zorder=5)
    axes.axhline(0, color=INK, linewidth=0.7)
    axes.set_ylabel("correlation units")
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)
    _name_ticks(axes, names, room / len(names))


def _name_ticks(axes: Axes, names: Sequence[str], room: float) -> None:
    turned = any(text_width(word, 8.1) > room * 0.95 for name in names for word in name.replace("_", " ").split())
    if turned:
        labels = [fit_text(name, 1.0, 8.1) for name in names]
        axes.set_xticks(range(len(names)), labels, rotation=45, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(range(len(names)), [fit_text(name, room * 0.95, 8.1, lines=3) for name in names])


def _matrix(axes: Axes, result: xr.Dataset, names: Sequence[str], inches: float) -> None:
    """Draw the interaction of every pair of regions, those that are certain in bold."""
    values = _mean(result["interaction"].values)
    errors = _mean(_errors(result, "interaction"))
    np.fill_diagonal(values, np.nan)
    limit = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    axes.set_facecolor("#ececec")
    axes.imshow(values, cmap=DIVERGING, vmin=-limit, vmax=limit)
    n = len(names)
    axes.set_yticks(range(n), [fit_text(name, 0.95, 7.6) for name in names], size=7.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _name_ticks(axes, names, inches / n)
    axes.tick_params(axis="x", labelsize=7.5)
    if n > MAX_CELLS:
        return
    unit, word = (100, "hundredths") if limit >= 0.1 else (1000, "thousandths")
    axes.set_title(f"{word} of correlation units", size=7.5, color="#555555", pad=3)
    for i, j in np.argwhere(np.isfinite(values)):
        value = values[i, j]
        sure = abs(value) > SURE * errors[i, j] > 0
        text = f"{round(value * unit)}".replace("-", "\N{MINUS SIGN}")
        colour, weight = "white" if abs(value) > 0.65 * limit else INK, "bold" if sure else "normal"
        axes.text(j, i, text, ha="center", va="center", size=7, color=colour, weight=weight)


def _table(axes: Axes, judged: Sequence[Principles]) -> None:
    """Write the numbers of each method, and how many of the three principles it keeps."""
    axes.axis("off")
    axes.set(xlim=(0, 1), ylim=(len(judged) + 0.4, -1.0))
    places = np.array([0.47, 0.585, 0.735, 0.85, 1.0])
    for x, name in zip(places, _COLUMNS, strict=True):
        axes.text(x, -0.6, name, ha="right", va="center", size=7.2, color="#555555")
    for row, one in enumerate(judged):
        axes.text(0.0, row, fit_text(method_label(one.method), 1.9, 8.1), va="center", size=8)
        values = (one.approximation, one.independent, one.interactive, one.hidden)
        for x, value in zip(places, values, strict=False):
            known = np.isfinite(value)
            colour = (_MET if value <= ALLOWED else _MISSED) if known else GREY
            text = number(round(value, 2)) if known else "\N{EN DASH}"
            axes.text(x, row, text, ha="right", va="center", size=7.6, color=colour)
        axes.text(places[-1], row, one.summary, ha="right", va="center", size=7.6, weight="bold")
        axes.axhline(row + 0.5, color="#dddddd", linewidth=0.5)


@styled
def taylor_figure(results: Results, rois: Mapping[str, RoiSet] | None = None, title: str = "") -> Figure:
    """Draw the parts of the score by region, the interactions of regions, and which principles methods keep.

    Parameters
    ----------
    results : mapping
        Attribution results by (model folder, result name); those of ``taylor_igc`` are drawn.
    rois : mapping of str to RoiSet, optional
        The sets of the study, for the names of regions.
    title : str
        Name of the study.

    Returns
    -------
    matplotlib.figure.Figure
        A note where there is no such result.
    """
    heading = f"{title} · Taylor decomposition"
    shown = list(taylor_results(results).items())[:MAX_ROWS]
    if not shown:
        return unavailable(heading, "No result of taylor_igc in this study.")
    step = _TALL + _GAP + _BELOW
    height = _TOP + len(shown) * step
    figure = new_figure(_FULL, height)
    targets = shown[0][1].sizes["target"]
    note = (
        "Left: what each region adds to the score, by part; diamonds: sum. Middle: interactions of pairs; bold: more "
        f"than {SURE:g} standard errors from 0. Right: shares of the change of the output that methods leave out, "
        "hand out wrongly (of regions alone, together), and importance of inputs hidden by a baseline of zero; green: "
        f"at most {ALLOWED:g}; dash: not known of whole networks."
    )
    header(figure, heading, note + (f" Means over {targets} targets." if targets > 1 else ""), left=_LEFT)
    labels = model_labels([key[0] for key, _ in shown])
    for row, ((model, name), result) in enumerate(shown):
        _row(figure, height, _TOP + row * step, f"{labels[model]} · {method_label(name)}", result, rois or {})
    return figure


def _row(figure: Figure, height: float, top: float, label: str, result: xr.Dataset, rois: Mapping[str, RoiSet]) -> None:
    """Draw one result: bars, matrix and table side by side."""
    names = region_names(result, rois)

    def place(left: float, wide: float, tall: float = _TALL) -> Axes:
        bottom = 1 - (top + _GAP * 0.6 + tall) / height
        return figure.add_axes((left / _FULL, bottom, wide / _FULL, tall / height))

    figure.text(_LEFT / _FULL, 1 - (top + 0.02) / height, label, size=9.5, weight="bold", va="bottom")
    name_row(figure, [(text, colour, "") for _, text, colour in _PARTS], 4.55 + _LEFT, top + 0.25, left=_LEFT)
    bars = place(_LEFT + 0.55, 4.0)
    bars.set_label(f"parts {label}")
    _bars(bars, result, names, 4.0)
    if "interaction" in result:
        matrix = place(6.05, 2.4, 2.4)
        matrix.set_label(f"interactions {label}")
        _matrix(matrix, result, names, 2.4)
    else:
        figure.text(6.05 / _FULL, 1 - (top + 1.5) / height, "no interactions formed", size=8, color=GREY)
    table = place(8.8, 3.5)
    table.set_label(f"principles {label}")
    _table(table, judged_methods(result))
