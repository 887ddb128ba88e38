"""The page on which readers choose study, model, target and methods: all data is inside, nothing is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from matplotlib import colormaps
from matplotlib.colors import to_hex

from igc.comparison.criteria import RANDOM, YARDSTICKS
from igc.report.images import flatten_channels
from igc.report.packing import pack_codes, pack_maps
from igc.report.regions import roi_bars
from igc.report.selection import Results, choose_targets, method_label, model_labels
from igc.report.style import DIVERGING, GREY, PALETTE, QUANTILE
from igc.report.volumes import AIR, FADE, Geometry
from igc.roi.sets import RoiSet
from igc.store.arrays import read_values

__all__ = ["MOST_BYTES", "describe_study", "explorer_page"]

MOST_BYTES = 12 << 20
"""Largest size of all maps of a page, as text; the rest of a page is small."""

_CLOSED = "correlation units, sums to r"
_DIGITS = 5
_SHADES, _DARKEST = 255, 70
_SCRIPTS = ("data.js", "maps.js", "charts.js", "page.js")


def _rounded(value: Any) -> Any:
    """Return numbers with a few digits and None for what is not finite, which JSON does not know."""
    if isinstance(value, float | np.floating):
        return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
    if isinstance(value, np.ndarray | Sequence) and not isinstance(value, str):
        return [_rounded(one) for one in value]
    return value


# --- where components lie -------------------------------------------------------------------------------------------


def _volume(samples: xr.Dataset) -> dict[str, Any]:
    """Return the box around the voxels of a study, with axes running right, forwards and up."""
    geometry = Geometry.of(samples)
    box = geometry.bounding_box()
    numbers, affine = geometry.canonical(geometry.embed(np.arange(len(geometry.voxel_index), dtype=np.float64), -1.0))
    numbers, shape = numbers[box].ravel(), numbers[box].shape
    filled = np.flatnonzero(numbers >= 0)
    place = np.empty(len(filled), dtype=np.int64)
    place[numbers[filled].astype(np.int64)] = filled
    background = geometry.canonical(geometry.background)[0][box]
    bright = np.clip(background / (float(np.quantile(background, 0.99)) or 1.0), 0, 1)
    # the darkest grey is light enough for either colour to stand out
    shades = np.where(bright > AIR, np.rint(_DARKEST + bright * (_SHADES - _DARKEST)), _SHADES).astype(np.int64)
    corner = np.array([one.start for one in box])
    return {
        "kind": "volume",
        "shape": list(shape),
        "place": pack_codes(place),
        "background": pack_codes(shades),
        "size": _rounded(np.abs(np.diag(affine)[:3])),
        "corner": _rounded(affine[:3, 3] + affine[:3, :3] @ corner),
    }


def _geometry(samples: xr.Dataset) -> dict[str, Any]:
    shape = samples["inputs"].shape[1:]
    if samples.attrs.get("kind") == "volume":
        return _volume(samples)
    if len(shape) == 3:
        return {"kind": "image", "shape": list(shape[1:])}
    return {"kind": "vector", "shape": [int(np.prod(shape))]}


def _maps(values: xr.DataArray, targets: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return maps (target, component) as they are drawn: images summed over channels."""
    stack = [read_values(values[k]).astype(np.float64) for k in targets]
    return np.stack([(flatten_channels(one) if one.ndim == 3 else one).ravel() for one in stack])


def _labels(roi_set: RoiSet) -> npt.NDArray[np.int64] | None:
    """Return the regions of a set as outlined; None where the channels of an image differ."""
    labels = roi_set.labels.astype(np.int64)
    if labels.ndim == 3:
        if bool((labels != labels[:1]).any()):
            return None
        labels = labels[0]
    return labels.ravel()


# --- results --------------------------------------------------------------------------------------------------------


def _regions(result: xr.Dataset, targets: Sequence[int]) -> dict[str, Any]:
    """Return sums over the regions of every set, and their errors."""
    if "roi_attribution" not in result:
        return {}
    found = {}
    for name in dict.fromkeys(str(one) for one in result["roi_set"].values):
        bars = roi_bars(result, name)
        found[name] = {
            "names": list(bars.names),
            "codes": list(bars.codes),
            "value": _rounded(bars.values[list(targets)]),
            "error": _rounded(bars.errors[list(targets)]),
            "meaning": bars.meaning.replace("\N{NO-BREAK SPACE}", " "),
        }
    return found


def _result(key: tuple[str, str], result: xr.Dataset, targets: Sequence[int], with_map: bool) -> dict[str, Any]:
    complete = bool(result.attrs.get("complete"))
    scores = read_values(result["score"]).astype(np.float64)[list(targets)]
    described = {
        "model": key[0],
        "method": key[1],
        "complete": complete,
        # maps in one unit share a colour scale
        "unit": _CLOSED if complete else str(result.attrs.get("unit") or f"unit of {method_label(key[1])}"),
        "shared": "closed" if complete else key[1],
        "score": _rounded(scores),
        "regions": _regions(result, targets),
    }
    values = _maps(result["attribution"], targets)
    described["sum"] = _rounded(np.nansum(values, axis=1))
    described["magnitude"] = _rounded(np.nansum(np.abs(values), axis=1))
    if with_map:
        described["map"] = pack_maps(values)
    return described


def _table(table: pd.DataFrame | None, columns: Sequence[str]) -> list[list[Any]]:
    """Return the rows of a table of models; rows of means over seeds have no model that could be chosen."""
    if table is None or not len(table):
        return []
    rows = table[table["model"].astype(str).str.contains("-seed")]
    return [[_rounded(value) for value in row] for row in rows[list(columns)].to_numpy(dtype=object).tolist()]


def describe_study(
    name: str,
    samples: xr.Dataset,
    rois: Mapping[str, RoiSet],
    results: Results,
    tables: Mapping[str, pd.DataFrame] | None = None,
    viewers: Mapping[tuple[str, str], str] | None = None,
    most_bytes: int = MOST_BYTES,
) -> dict[str, Any]:
    """Gather what the page shows of one study.

    Parameters
    ----------
    name : str
        Name of the study.
    samples : xarray.Dataset
        Its samples; only their geometry is read.
    rois : mapping of str to RoiSet
        Its ROI sets, for outlines and colours.
    results : mapping
        Attribution results by (model folder, result name).
    tables : mapping of str to pandas.DataFrame, optional
        ``yardsticks`` and ``yardstick_curves`` of the comparison.
    viewers : mapping of (str, str) to str, optional
        Relative addresses of further pages of a result.
    most_bytes : int
        Maps that would take more as text are left out, with a note; sums over regions and curves stay.

    Returns
    -------
    dict
        Plain lists, numbers and text, for JSON.
    """
    chosen = choose_targets(results)
    geometry = _geometry(samples)
    n_components = int(np.prod(samples["inputs"].shape[-2 if geometry["kind"] == "image" else 1 :]))
    needed = len(results) * len(chosen.indices) * n_components * 2 * 4 // 3
    fits = needed <= most_bytes
    notes = [chosen.note]
    if not fits:
        notes.append(f"The maps ({needed / 2**20:.0f} MB) are too large for this page and are left out.")
    labels, given = model_labels(model for model, _ in results), tables or {}
    methods = sorted(dict.fromkeys(method for _, method in results), key=lambda one: (one != "igc", one))
    outlines = {key: found for key, one in rois.items() if (found := _labels(one)) is not None}
    study = {
        "name": name,
        "title": str(samples.attrs.get("title") or name),
        "targets": list(chosen.names),
        "answer": "probability of the class"
        if samples.attrs.get("target_type") == "categories"
        else "squared change of the prediction, over its variance",
        "note": " ".join(filter(None, notes)),
        "geometry": geometry,
        "models": [{"name": model, "label": label} for model, label in labels.items()],
        "methods": [{"name": method, "label": method_label(method)} for method in methods],
        "results": [_result(key, one, chosen.indices, fits) for key, one in results.items()],
        "sets": {
            key: {
                "colours": {str(code): region.color for code, region in one.regions.items()},
                "labels": pack_codes(outlines[key]) if key in outlines and fits else None,
            }
            for key, one in rois.items()
        },
        "yardsticks": _table(
            given.get("yardsticks"), ("model", "method", "yardstick", "reference", "better", "value", "se")
        ),
        "curves": _table(given.get("yardstick_curves"), ("model", "method", "curve", "reference", "x", "value", "se")),
        "viewers": [[*key, address] for key, address in (viewers or {}).items()],
    }
    if "truth" in samples and fits:
        study["truth"] = pack_maps(_maps(samples["truth"], chosen.indices))
    return study


# --- the page -------------------------------------------------------------------------------------------------------


def _template(name: str) -> str:
    return files("igc.report").joinpath("templates", name).read_text(encoding="utf-8")


def _look() -> dict[str, Any]:
    """Return the colours and conventions that the page shares with the figures."""
    return {
        "diverging": [to_hex(colour) for colour in colormaps[DIVERGING](np.linspace(0, 1, 256))],
        "palette": list(PALETTE),
        "grey": GREY,
        "quantile": QUANTILE,
        "fade": FADE,
        "random": RANDOM,
        "yardsticks": {name: one.title for name, one in YARDSTICKS.items()},
    }


def explorer_page(studies: Sequence[Mapping[str, Any]]) -> str:
    """Return the page, whole: style, scripts and data are inside.

    Parameters
    ----------
    studies : sequence of dict
        From :func:`describe_study`, in the order of the menu.

    Returns
    -------
    str
        HTML that loads nothing; its policy forbids it to.
    """
    data = json.dumps({"look": _look(), "studies": list(studies)}, separators=(",", ":"), allow_nan=False)
    # a name with "</script>" in it must not end the data
    data = data.replace("<", "\\u003c")
    page = _template("explorer.html").replace("/*STYLE*/", _template("explorer.css"))
    page = page.replace("/*SCRIPT*/", "\n".join(_template(name) for name in _SCRIPTS))
    return page.replace("/*DATA*/", data)
