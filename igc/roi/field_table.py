"""Tables from the maps of an encoder: receptive fields, and localisers from channels that show categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from igc.errors import DataError, ShapeError, explain
from igc.roi.aggregate import score_interval
from igc.roi.fields import Fields, fit_fields
from igc.stats.noise_ceiling import normalized_correlation
from igc.store.arrays import read_values
from igc.store.ceilings import ceiling_of, has_ceiling, usable_ceiling

__all__ = ["FIELD_COLUMNS", "LOCALISER_COLUMNS", "field_table", "localiser_table", "score_columns"]

Array = npt.NDArray[np.float64]

FIELD_COLUMNS = (
    *("target", "row", "column", "size", "angle", "eccentricity", "amplitude", "offset", "r2"),
    *("x_degrees", "y_degrees", "size_degrees", "eccentricity_degrees", "score", "ceiling", "normalized_score"),
    *("planted_row", "planted_column", "planted_size", "distance"),
)
"""Columns of the table of receptive fields."""

LOCALISER_COLUMNS = ("target", "category", "attribution", "share", "largest")
"""Columns of the table of localisers."""

_BYTES = 64 << 20


def _checked(result: xr.Dataset, channels: Sequence[int]) -> tuple[int, int, int]:
    """Return channels, rows and columns of the maps of a result, or refuse."""
    shape = tuple(int(n) for n in result["attribution"].shape[1:])
    if len(shape) != 3:
        seen, remedy = f"maps of shape {shape}", "use it for models that predict from images"
        raise ShapeError(explain("receptive fields", seen, "(channel, row, column)", remedy))
    wrong = [channel for channel in channels if not 0 <= channel < shape[0]]
    if wrong:
        remedy = "correct fields.channels or fields.categories"
        raise DataError(explain("receptive fields", f"channel {wrong[0]}", f"0 to {shape[0] - 1}", remedy))
    return shape[0], shape[1], shape[2]


def _summed(result: xr.Dataset, axes: tuple[int, ...], channels: Sequence[int]) -> Array:
    """Return maps summed over axes of some channels, reading some targets at a time."""
    maps = result["attribution"]
    step = max(1, _BYTES // (8 * int(np.prod(maps.shape[1:]))))
    parts = []
    for start in range(0, len(maps), step):
        block = read_values(maps[start : start + step])[:, list(channels)].astype(np.float64)
        parts.append(block.sum(axis=axes))
    return np.concatenate(parts)


def _fitted(maps: Array) -> Fields:
    """Fit fields; targets without a map, which a model predicts as a constant, have none."""
    known = np.asarray(np.isfinite(maps).all(axis=(1, 2)))
    return fit_fields(np.where(known[:, None, None], maps, 0.0))


def _known(samples: xr.Dataset, name: str, shape: tuple[int, ...]) -> Array:
    return read_values(samples[name]).astype(np.float64) if name in samples else np.full(shape, np.nan)


def score_columns(result: xr.Dataset, samples: xr.Dataset) -> dict[str, Array]:
    """Return how well each target is predicted, as it is and of what noise leaves possible.

    Parameters
    ----------
    result : xarray.Dataset
        An attribution result.
    samples : xarray.Dataset
        Its samples.

    Returns
    -------
    dict of str to array (target,)
        ``score``; ``ceiling``, the noise ceiling of the held-out responses in percent of the variance; and
        ``normalized_score``, the score over its root, NaN where the ceiling is unknown or counts as noise.
    """
    score = read_values(result["score"]).astype(np.float64)
    unknown = np.full(len(score), np.nan)
    if not has_ceiling(samples):
        return {"score": score, "ceiling": unknown, "normalized_score": unknown}
    best = normalized_correlation(score, usable_ceiling(samples))
    return {"score": score, "ceiling": ceiling_of(samples), "normalized_score": best}


def field_table(
    result: xr.Dataset,
    samples: xr.Dataset,
    channels: Sequence[int] | None = None,
    categories: Mapping[str, int] | None = None,
    field_of_view: float | None = None,
) -> pd.DataFrame:
    """Fit a Gaussian to the map of every target over the image.

    Parameters
    ----------
    result : xarray.Dataset
        An attribution result of a model that predicts from images.
    samples : xarray.Dataset
        Its samples; their noise ceiling and the planted ``target_field`` are used where they have them.
    channels : sequence of int, optional
        Channels whose maps are summed; default: all but ``categories``.
    categories : mapping of str to int, optional
        Channels that are no part of an image.
    field_of_view : float, optional
        Width of the images in degrees; default: the attribute of the samples, if there is one.

    Returns
    -------
    pandas.DataFrame
        A row for each target with :data:`FIELD_COLUMNS`. Lengths are in pixels, and where the field of view is known
        also in degrees; ``angle`` is the polar angle (0 right, 90 up). ``distance`` is that of the centre from the
        planted one, in pixels. Scores are those of :func:`score_columns`. What is not known is
        NaN.

    Raises
    ------
    ShapeError, DataError
        If maps are not over images, or a channel does not exist.
    """
    named = list((categories or {}).values())
    n_channels, rows, columns = _checked(result, [*(channels or []), *named])
    chosen = channels if channels is not None else [k for k in range(n_channels) if k not in named]
    if not len(chosen):
        raise DataError(explain("receptive fields", "no channel of an image", "at least one", "set fields.channels"))
    fields = _fitted(_summed(result, (1,), chosen))
    width = field_of_view if field_of_view is not None else samples.attrs.get("field_of_view")
    degrees = np.nan if width is None else float(width) / columns
    n = len(fields.row)
    planted = _known(samples, "target_field", (n, 3)) / degrees
    values = {
        "row": fields.row,
        "column": fields.column,
        "size": fields.size,
        "angle": fields.angle,
        "eccentricity": fields.eccentricity,
        "amplitude": fields.amplitude,
        "offset": fields.offset,
        "r2": fields.r2,
        "x_degrees": fields.right * degrees,
        "y_degrees": fields.up * degrees,
        "size_degrees": fields.size * degrees,
        "eccentricity_degrees": fields.eccentricity * degrees,
        **score_columns(result, samples),
        "planted_row": (rows - 1) / 2 - planted[:, 1],
        "planted_column": (columns - 1) / 2 + planted[:, 0],
        "planted_size": planted[:, 2],
        "distance": np.hypot(fields.right - planted[:, 0], fields.up - planted[:, 1]),
    }
    names = [str(name) for name in result["target"].values]
    return pd.DataFrame({"target": names, **values})[list(FIELD_COLUMNS)]


def localiser_table(result: xr.Dataset, categories: Mapping[str, int]) -> pd.DataFrame:
    """Sum the maps of channels that show categories over space: how much of the score each category carries.

    Parameters
    ----------
    result : xarray.Dataset
        An attribution result of a model that predicts from images with such channels.
    categories : mapping of str to int
        Channel by name.

    Returns
    -------
    pandas.DataFrame
        A row for each target and category with :data:`LOCALISER_COLUMNS`: the signed sum, its share of the target's
        score (of maps that sum to it; NaN where the interval of the score contains 0), and whether it is the largest of
        the target.

    Raises
    ------
    ShapeError, DataError
        If maps are not over images, or a channel does not exist.
    """
    numbers = list(categories.values())
    _checked(result, numbers)
    sums = _summed(result, (2, 3), numbers)
    score = read_values(result["score"]).astype(np.float64)
    low, high = score_interval(result)
    # a share of what may be nothing means nothing
    told = (low > 0) | (high < 0) if result.attrs.get("complete") else np.zeros(len(score), dtype=bool)
    score = np.where(told, score, np.nan)
    largest = (sums == sums.max(axis=1, keepdims=True)) if numbers else np.zeros(sums.shape, bool)
    names = np.array([str(name) for name in result["target"].values], dtype=object)
    return pd.DataFrame(
        {
            "target": np.repeat(names, len(numbers)),
            "category": np.tile(np.array(list(categories), dtype=object), len(names)),
            "attribution": sums.ravel(),
            "share": (sums / score[:, None]).ravel(),
            "largest": largest.ravel(),
        }
    )
