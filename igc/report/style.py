"""The one look of all figures: sizes, fonts, colours that colour-blind readers can tell apart, and saving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Rectangle

from igc.store.atomic import replacing

__all__ = [
    "DIVERGING",
    "DPI",
    "GREY",
    "INK",
    "PALETTE",
    "QUANTILE",
    "Draw",
    "colour_limit",
    "fit_text",
    "header",
    "name_row",
    "new_figure",
    "number",
    "save_figure",
    "scale_bar",
    "styled",
    "text_width",
    "unavailable",
]

DPI = 150
"""Dots per inch of every saved figure."""
DIVERGING = "RdBu_r"
"""Colour map of signed maps: blue below zero, red above (ColorBrewer, safe for colour-blind readers)."""
QUANTILE = 0.995
"""Quantile of the absolute values at which the colours of maps saturate."""
INK = "#222222"
GREY = "#8a8a8a"
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933", "#332288", "#44AA99")
"""Colours of Okabe & Ito, continued by those of Tol; the order keeps neighbours apart in grey as well."""

_RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "image.interpolation": "nearest",
    # names of targets and regions may hold a dollar sign
    "text.parse_math": False,
    "legend.frameon": False,
}

_EM = 1000
_HELD = "\N{NO-BREAK SPACE}"

Draw: TypeAlias = Callable[[], Figure]
"""Draws a figure when it is needed, so that only one is in memory at a time."""

P = ParamSpec("P")


def _settings() -> Any:
    """Return all settings of matplotlib: its defaults, and ours over them."""
    return {**dict(mpl.rcParamsDefault), "backend": "agg", **_RC}


def styled(function: Callable[P, Figure]) -> Callable[P, Figure]:
    """Make a function draw its figure in the common style, whatever the user's own settings are."""

    @wraps(function)
    def draw(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(_settings()):
            return function(*args, **kwargs)

    return draw


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure that no window system knows of.

    Parameters
    ----------
    width, height : float
        Size in inches.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, whole or not at all, with the same bytes for the same figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    path : str or Path
        A file name ending in ``.png``.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    with replacing(path) as temporary, mpl.rc_context(_settings()):
        figure.savefig(temporary, dpi=DPI, format="png", metadata={"Software": None})


def colour_limit(maps: Sequence[npt.ArrayLike], quantile: float = QUANTILE) -> float:
    """Return the common symmetric colour limit of maps that are compared.

    Parameters
    ----------
    maps : sequence of arrays
        Signed maps in the same unit; NaN is ignored.
    quantile : float
        Quantile of the absolute values over all maps.

    Returns
    -------
    float
        A positive number, so that colours run from minus to plus it; 1 where all maps are empty or zero.
    """
    values = np.concatenate([np.abs(np.asarray(one, dtype=np.float64)).ravel() for one in maps] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    if not values.size or values.max() == 0:
        return 1.0
    limit = float(np.quantile(values, quantile))
    return limit if limit > 0 else float(values.max())


def number(value: float) -> str:
    """Write a number with two digits, as a power of ten where it is small."""
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.2g}".replace("-", "\N{MINUS SIGN}")
    mantissa, exponent = f"{value:.1e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}\N{MULTIPLICATION SIGN}10{raised}".replace("-", "\N{MINUS SIGN}")


@cache
def _advance(character: str, bold: bool) -> float:
    """Return how far a character moves the pen, as a share of the font size."""
    font = get_font(findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")))
    font.set_size(_EM, 72)
    if not font.get_char_index(ord(character)):
        return 1.0
    return float(font.load_char(ord(character)).linearHoriAdvance) / 65536 / _EM


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Return the width in inches of a line of text set at a font size in points, without kerning."""
    return sum(_advance(character, bold) for character in text) * size / 72


def _shorten(text: str, width: float, size: float, bold: bool) -> str:
    """Cut the middle out of a line that is too wide, since names often differ at both ends."""
    if text_width(text, size, bold) <= width:
        return text
    for kept in range(len(text) - 1, 1, -1):
        short = f"{text[: (kept + 1) // 2].rstrip()}…{text[len(text) - kept // 2 :].lstrip()}"
        if text_width(short, size, bold) <= width:
            return short
    return "…"


def fit_text(text: str, width: float, size: float, lines: int = 1, bold: bool = False) -> str:
    """Wrap a name to a width, and shorten what does not fit.

    Parameters
    ----------
    text : str
        The name.
    width : float
        Room in inches.
    size : float
        Font size in points.
    lines : int
        Largest number of lines.
    bold : bool
        Set in bold.

    Returns
    -------
    str
        At most so many lines, none wider than the room; underscores become blanks.
    """
    text = "".join(character if character.isprintable() or character == _HELD else " " for character in text)
    rows: list[str] = []
    # split at plain blanks only, so that a no-break space holds a number and its unit together
    for word in filter(None, text.replace("_", " ").split(" ")):
        joined = f"{rows[-1]} {word}" if rows else word
        if rows and (text_width(joined, size, bold) <= width or len(rows) == lines):
            rows[-1] = joined
        else:
            rows.append(word)
    return "\n".join(_shorten(row, width, size, bold) for row in rows)


def header(figure: Figure, title: str, subtitle: str = "", left: float = 0.25, top: float = 0.16) -> None:
    """Write the title of a figure and a line below it, flush left.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    title, subtitle : str
        What is shown; how to read it.
    left, top : float
        Distance from the left and upper edge in inches.
    """
    width, height = figure.get_size_inches()
    room = width - 2 * left
    title = fit_text(title, room, 11.6, bold=True)
    figure.text(left / width, 1 - top / height, title, size=11.5, weight="bold", va="top", ha="left")
    if subtitle:
        body = fit_text(subtitle, room, 8.6, lines=3)
        figure.text(left / width, 1 - (top + 0.25) / height, body, size=8.5, color="#555555", va="top", ha="left")


def scale_bar(figure: Figure, position: Sequence[float], limit: float, label: str = "", vertical: bool = False) -> Axes:
    """Draw the colour bar of signed maps, with its limits as ticks.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    position : sequence of float
        Left, bottom, width and height in inches.
    limit : float
        The colour limit.
    label : str
        Unit of the values.
    vertical : bool
        Upright rather than lying.

    Returns
    -------
    matplotlib.axes.Axes
        The axes of the bar.
    """
    width, height = figure.get_size_inches()
    axes = figure.add_axes((position[0] / width, position[1] / height, position[2] / width, position[3] / height))
    mappable = ScalarMappable(Normalize(-limit, limit), DIVERGING)
    bar = figure.colorbar(
        mappable, cax=axes, orientation="vertical" if vertical else "horizontal", extend="both", extendfrac=0.05
    )
    bar.set_ticks([-limit, 0, limit], labels=[f"\N{MINUS SIGN}{number(limit)}", "0", number(limit)])
    bar.outline.set_linewidth(0.5)
    axes.tick_params(length=2, pad=2, labelsize=7.5)
    if label:
        bar.set_label(label, size=8)
    return axes


def name_row(
    figure: Figure, fills: Sequence[tuple[str, Any, str]], right: float, top: float, left: float = 0.3
) -> None:
    """Name what colours stand for in one row of small squares with text, flush right.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    fills : sequence of (str, colour, str)
        Name, fill colour and hatch.
    right, top : float
        End of the row, and its base line, in inches from the upper left corner.
    left : float
        Where other things begin that the row may not cover, in inches.
    """
    width, height = (float(size) for size in figure.get_size_inches())
    room = min(2.4, (right - left) / max(len(fills), 1) - 0.42)
    for label, fill, hatch in reversed(fills):
        text = fit_text(label, room, 8.6)
        figure.text(right / width, 1 - top / height, text, size=8.5, ha="right", va="baseline")
        start = right - text_width(text, 8.6) - 0.19
        square = Rectangle(
            (start / width, 1 - top / height),
            0.12 / width,
            0.12 / height,
            facecolor=fill,
            edgecolor=INK,
            linewidth=0.7,
            hatch=hatch * 2,
            transform=figure.transFigure,
        )
        figure.add_artist(square)
        right = start - 0.2


@styled
def unavailable(title: str, reason: str) -> Figure:
    """Return a figure that says why there is nothing to show.

    Parameters
    ----------
    title, reason : str
        What would be shown; why it is not.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(6.6, 1.3)
    header(figure, title, left=0.3)
    figure.text(0.3 / 6.6, 0.32, fit_text(reason, 6.0, 9.2, lines=2), size=9, color="#555555")
    return figure
