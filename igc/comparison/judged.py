"""What maps are judged on: samples, the model's answers, and how parts of an input are taken away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from scipy.special import softmax

from igc.errors import ShapeError, explain
from igc.seeding import generator

__all__ = [
    "Array",
    "Judged",
    "Mask",
    "Predict",
    "Prepare",
    "Remove",
    "Rows",
    "blurred_reference",
    "constant_reference",
    "image_grid",
    "random_maps",
    "ranks",
    "unit_maps",
]

Array: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = npt.NDArray[np.int64]


class Predict(Protocol):
    """Asks the model about changed copies of samples."""

    def __call__(self, inputs: Array, origin: Rows, /) -> Array:
        """Return raw outputs (copy, target); ``origin`` is the position of the judged sample behind each copy."""
        ...


Remove: TypeAlias = Callable[[Mask, Rows], Array]
"""Takes parts away: (removed (copy, component...), position of the sample behind each copy) -> new inputs."""
Prepare: TypeAlias = Callable[[Array], Remove]
"""A reference: given all inputs (sample, component...), returns what takes their parts away. A sampler that fills parts
in from their surroundings has this form as well as a constant does."""


@dataclass(frozen=True)
class Judged:
    """Samples on which maps are judged. A *unit* is taken away at once: a component, or all channels of a pixel.

    Attributes
    ----------
    inputs : array (sample, component...)
        Unchanged inputs.
    targets : array of int (sample,)
        The output that the maps explain.
    predict : Predict
        The model.
    categories : bool
        Outputs are logits of classes.
    numbers : array of int (sample,)
        What random numbers of a sample depend on, beside the seed.
    spread : array (target,), optional
        Standard deviation of each prediction over the data, the unit of its changes; default: that over the samples.
    """

    inputs: Array
    targets: Rows
    predict: Predict
    categories: bool
    numbers: Rows
    spread: Array | None = None

    def __post_init__(self) -> None:
        n = len(self.inputs)
        if self.targets.shape != (n,) or self.numbers.shape != (n,):
            seen = f"{len(self.targets)} targets and {len(self.numbers)} numbers of {n} samples"
            raise ShapeError(explain("judged samples", seen, "one of each a sample", "pass aligned arrays"))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.inputs.shape[1:])

    @property
    def n_units(self) -> int:
        """Number of units."""
        return int(np.prod(self.shape)) // (self.shape[0] if len(self.shape) == 3 else 1)

    def raw(self, inputs: Array, origin: Rows) -> Array:
        """Return the explained raw output of copies of samples, (copy,)."""
        return np.asarray(self.predict(inputs, origin)[np.arange(len(origin)), self.targets[origin]], dtype=np.float64)

    def answer(self, inputs: Array, origin: Rows) -> Array:
        """Return the probability of the explained class, or the explained value, of copies of samples, (copy,)."""
        if not self.categories:
            return self.raw(inputs, origin)
        odds = softmax(np.asarray(self.predict(inputs, origin), dtype=np.float64), axis=1)
        return np.asarray(odds[np.arange(len(origin)), self.targets[origin]])

    def components(self, units: Mask) -> Mask:
        """Spread masks of units (copy, unit) over the components of an input, (copy, component...)."""
        if len(self.shape) == 3:
            shaped = units.reshape(-1, 1, *self.shape[1:])
            return np.broadcast_to(shaped, (len(units), *self.shape))
        return units.reshape(-1, *self.shape)


def image_grid(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Return rows and columns of an image's units, None for inputs that are no image (channel, row, column)."""
    return (shape[1], shape[2]) if len(shape) == 3 else None


def unit_maps(maps: npt.ArrayLike, shape: tuple[int, ...]) -> Array:
    """Sum maps over what is taken away together.

    Parameters
    ----------
    maps : array (map, component...)
    shape : tuple of int
        Shape of one input; the first of three axes is that of channels.

    Returns
    -------
    array (map, unit)
    """
    values = np.asarray(maps, dtype=np.float64)
    if values.shape[1:] != shape:
        raise ShapeError(explain("maps", values.shape[1:], f"{shape}, as the inputs", "pass maps of these samples"))
    channels = shape[0] if len(shape) == 3 else 1
    return np.asarray(values.reshape(len(values), channels, -1).sum(axis=1))


def random_maps(numbers: Rows, n_units: int, seed: int) -> Array:
    """Return maps without meaning, the floor of every yardstick, (sample, unit)."""
    return np.stack([generator(seed, "random map", int(i)).normal(size=n_units) for i in numbers])


def ranks(maps: Array, numbers: Rows, seed: int) -> Rows:
    """Rank the units of each map from the largest value, with ties in random order.

    Parameters
    ----------
    maps : array (sample, unit)
    numbers : array of int (sample,)
        Of the samples.
    seed : int
        Of the order of ties: a constant map gives a random ranking.

    Returns
    -------
    array of int (sample, unit)
        0 for the largest.
    """
    found = np.empty(maps.shape, dtype=np.int64)
    for row, values, number in zip(found, maps, numbers, strict=True):
        ties = generator(seed, "ties", int(number)).random(len(values))
        row[np.lexsort((ties, -values))] = np.arange(len(values))
    return found


def constant_reference(values: npt.ArrayLike) -> Prepare:
    """Take parts away by putting in the same values for all samples (zero, the mean of the data).

    Parameters
    ----------
    values : array (component...) or float

    Returns
    -------
    Prepare
    """
    return _replaced(lambda inputs: np.broadcast_to(np.asarray(values, dtype=inputs.dtype), inputs.shape))


def blurred_reference(sigma: float = 5.0) -> Prepare:
    """Take parts away by putting in those of a blurred copy of the sample, for images.

    Parameters
    ----------
    sigma : float
        Standard deviation of the Gaussian kernel in pixels.

    Returns
    -------
    Prepare
    """

    def blurred(inputs: Array) -> Array:
        width = (0,) * (inputs.ndim - 2) + (sigma, sigma)
        return np.asarray(gaussian_filter(inputs, width, mode="nearest"), dtype=inputs.dtype)

    return _replaced(blurred)


def _replaced(reference: Callable[[Array], Array]) -> Prepare:
    def prepare(inputs: Array) -> Remove:
        values = reference(inputs)
        return lambda removed, origin: np.where(removed, values[origin], inputs[origin])

    return prepare
