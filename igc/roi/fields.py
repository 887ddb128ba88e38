"""Receptive fields: a two-dimensional Gaussian fitted to the map of every target over an image, all targets at once.

A Gaussian is the product of one function of the row and one of the column. So all that a least-squares step needs is
products of a map with four functions on either side, and no picture of a Gaussian is ever formed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from igc.errors import DataError, ShapeError, explain

__all__ = ["Fields", "fit_fields"]

Array = npt.NDArray[np.float64]

_ROUNDS = 60
_CHUNK = 1 << 22
_SMALLEST = 0.3
_START_SIZES = 5
_START_PLACES = 16
_DONE = 1e-10


@dataclass(frozen=True)
class Fields:
    """Gaussians ``offset + amplitude * exp(-distance**2 / (2 size**2))``, one a map.

    Attributes
    ----------
    row, column : array (target,)
        Centre in pixels; the middle of the upper left pixel is 0, 0. NaN where a map has no variance.
    size : array (target,)
        Standard deviation in pixels.
    amplitude, offset : array (target,)
        In the unit of the maps; amplitudes are above 0.
    r2 : array (target,)
        Share of the variance of the map's pixels that the Gaussian explains.
    shape : tuple of int
        Rows and columns of the maps.
    """

    row: Array
    column: Array
    size: Array
    amplitude: Array
    offset: Array
    r2: Array
    shape: tuple[int, int]

    @property
    def right(self) -> Array:
        """Distance of the centre from the middle of the image to the right, in pixels."""
        return self.column - (self.shape[1] - 1) / 2

    @property
    def up(self) -> Array:
        """Distance of the centre from the middle of the image upwards, in pixels."""
        return (self.shape[0] - 1) / 2 - self.row

    @property
    def eccentricity(self) -> Array:
        """Distance of the centre from the middle of the image, in pixels."""
        return np.hypot(self.right, self.up)

    @property
    def angle(self) -> Array:
        """Polar angle of the centre in degrees, from -180 to 180: 0 is right of the middle, 90 above it."""
        return np.degrees(np.arctan2(self.up, self.right))


def _profiles(places: Array, centre: Array, size: Array) -> Array:
    """Return g, dg/dcentre, dg/dlog(size) and 1 for one axis, (target, 4, pixel), g being a Gaussian of height 1."""
    scaled = (places - centre[:, None]) / size[:, None]
    bell = np.exp(-0.5 * scaled**2)
    return np.stack([bell, bell * scaled / size[:, None], bell * scaled**2, np.ones_like(bell)], axis=1)


@dataclass(frozen=True)
class _Normal:
    """The normal equations of the five parameters at a point: matrix, right side, and the squared error there."""

    matrix: Array
    right: Array
    error: Array


def _normal(maps: Array, point: Array) -> _Normal:
    """Form the normal equations from products of profiles; ``point`` is (target, [a, b, row, column, log size])."""
    a, b, row, column, log_size = point.T
    size = np.exp(log_size)
    down = _profiles(np.arange(maps.shape[1], dtype=np.float64), row, size)
    across = _profiles(np.arange(maps.shape[2], dtype=np.float64), column, size)
    # the derivatives are sums of products of profiles: g g, 1, a g' g, a g g', a (g'' g + g g'')
    data = down @ maps @ across.transpose(0, 2, 1)
    gram_down, gram_across = down @ down.transpose(0, 2, 1), across @ across.transpose(0, 2, 1)
    pairs = np.array([(0, 0), (3, 3), (1, 0), (0, 1), (2, 0), (0, 2)])
    i, j = pairs.T
    gram = gram_down[:, i[:, None], i] * gram_across[:, j[:, None], j]
    inner = data[:, i, j]
    # six products become five derivatives
    mix = np.zeros((len(point), 5, 6))
    mix[:, 0, 0], mix[:, 1, 1] = 1, 1
    mix[:, 2, 2], mix[:, 3, 3], mix[:, 4, 4], mix[:, 4, 5] = a, a, a, a
    fitted = np.zeros((len(point), 6))
    fitted[:, 0], fitted[:, 1] = a, b
    explained = np.einsum("tij,tj->ti", gram, fitted)
    error = np.einsum("txy,txy->t", maps, maps) - np.einsum("ti,ti->t", 2 * inner - explained, fitted)
    matrix = mix @ gram @ mix.transpose(0, 2, 1)
    return _Normal(matrix, np.einsum("tij,tj->ti", mix, inner - explained), error)


def _start(maps: Array) -> Array:
    """Return the best of a grid of places and sizes for each map, with the amplitude and offset that fit best there."""
    rows, columns = maps.shape[1:]
    pixels = rows * columns
    best = np.full(len(maps), -np.inf)
    point = np.zeros((len(maps), 5))
    places = [np.linspace(0, n - 1, min(n, _START_PLACES)) for n in (rows, columns)]
    total = maps.sum(axis=(1, 2))
    for size in np.geomspace(0.7, max(rows, columns) / 3, _START_SIZES):
        widths = [np.full(len(place), size) for place in places]
        down = _profiles(np.arange(rows, dtype=np.float64), places[0], widths[0])[:, 0]
        across = _profiles(np.arange(columns, dtype=np.float64), places[1], widths[1])[:, 0]
        mean = np.outer(down.sum(axis=1), across.sum(axis=1)) / pixels
        spread = np.outer((down**2).sum(axis=1), (across**2).sum(axis=1)) - pixels * mean**2
        covariance = (down @ maps @ across.T) - total[:, None, None] * mean
        gain = (np.maximum(covariance, 0) ** 2 / spread).reshape(len(maps), -1)
        found = gain.argmax(axis=1)
        better = gain[np.arange(len(maps)), found] > best
        amplitude = (covariance / spread).reshape(len(maps), -1)[np.arange(len(maps)), found]
        offset = total / pixels - amplitude * mean.ravel()[found]
        row, column = np.unravel_index(found, mean.shape)
        here = [amplitude, offset, places[0][row], places[1][column], np.full(len(maps), np.log(size))]
        point[better] = np.stack(here, axis=1)[better]
        best = np.maximum(best, gain.max(axis=1))
    return point


def _inside(point: Array, shape: tuple[int, int]) -> Array:
    """Keep centres within half an image of its border, and sizes between a third of a pixel and the image."""
    rows, columns = shape
    low = np.array([0.0, -np.inf, -rows / 2, -columns / 2, np.log(_SMALLEST)])
    high = np.array([np.inf, np.inf, 1.5 * rows, 1.5 * columns, np.log(max(shape))])
    return np.clip(point, low, high)


def _improved(maps: Array, point: Array) -> tuple[Array, Array]:
    """Run damped Gauss-Newton steps (Levenberg and Marquardt) on all maps side by side."""
    shape = (maps.shape[1], maps.shape[2])
    point, damping = point.copy(), np.full(len(maps), 1e-3)
    error = _normal(maps, point).error
    active = np.arange(len(maps))
    for _ in range(_ROUNDS):
        here = maps[active]
        normal = _normal(here, point[active])
        diagonal = np.einsum("tii->ti", normal.matrix)
        matrix = normal.matrix + np.eye(5) * (damping[active, None] * diagonal + 1e-300)[:, None]
        step = np.linalg.solve(matrix, normal.right[..., None])[..., 0]
        tried = _inside(point[active] + step, shape)
        found = _normal(here, tried).error
        better = found < error[active]
        gain = np.where(better, error[active] - found, 0.0)
        point[active[better]], error[active[better]] = tried[better], found[better]
        damping[active] *= np.where(better, 0.2, 8.0)
        # rejected steps are tried again with more damping, until that has become absurd
        going = np.where(better, gain > _DONE * error[active], damping[active] < 1e8)
        active = active[going]
        if not len(active):
            break
    return point, error


def fit_fields(maps: npt.ArrayLike) -> Fields:
    """Fit a round Gaussian to every map by least squares.

    Parameters
    ----------
    maps : array (target, row, column)
        Maps over the image, of any unit; no NaN.

    Returns
    -------
    Fields
        All NaN for a map without variance, and for one on which no bump above its surroundings improves.

    Raises
    ------
    ShapeError
        If there are no three axes, or fewer than three rows or columns.
    DataError
        If a value is not finite.

    Notes
    -----
    Each fit starts at the best of a grid of 16 by 16 places and 5 sizes, so that noise far away does no harm, and goes
    on with Levenberg's and Marquardt's damped steps in float64. Centres may lie up to half an image outside of it.
    """
    values = np.asarray(maps, dtype=np.float64)
    if values.ndim != 3 or min(values.shape[1:]) < 3:
        remedy = "give one map a target, of 3 pixels or more each way"
        raise ShapeError(explain("receptive fields", f"shape {values.shape}", "(target, row, column)", remedy))
    if not np.isfinite(values).all():
        raise DataError(explain("receptive fields", "NaN or infinity in a map", "finite maps", "leave the target out"))
    step = max(1, _CHUNK // values[0].size) if len(values) else 1
    parts = [_fit_some(values[i : i + step]) for i in range(0, len(values), step)]
    row, column, size, amplitude, offset, r2 = np.concatenate(parts, axis=1) if parts else np.zeros((6, 0))
    return Fields(row, column, size, amplitude, offset, r2, (values.shape[1], values.shape[2]))


def _fit_some(maps: Array) -> Array:
    """Fit a part of the maps; each is brought to unit variance, so that limits do not depend on the unit."""
    mean = maps.mean(axis=(1, 2))
    spread = maps.std(axis=(1, 2))
    result = np.full((6, len(maps)), np.nan)
    good = np.flatnonzero(spread > 1e-12 * np.abs(maps).max(axis=(1, 2), initial=0.0))
    scaled = (maps[good] - mean[good, None, None]) / spread[good, None, None]
    point = _start(scaled)
    rising = point[:, 0] > 0
    good, scaled, point = good[rising], scaled[rising], point[rising]
    if not len(good):
        return result
    point, error = _improved(scaled, point)
    a, b, row, column, log_size = point.T
    r2 = 1 - error / maps[0].size
    offset = mean[good] + spread[good] * b
    result[:, good] = np.stack([row, column, np.exp(log_size), spread[good] * a, offset, r2])
    return result
