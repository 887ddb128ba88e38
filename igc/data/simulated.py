"""Simulated images with the spectrum of natural ones, and four rules on them whose answer is known.

Image number n depends on the seed and n alone, so neither chunking nor the size of the dataset changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from igc.config import SimulatedData
from igc.data.planted import CORNERS, masks, planted
from igc.data.source import FloatArray, IntArray, Source, Variable, one_hot
from igc.errors import DataError, explain
from igc.seeding import generator

__all__ = ["exact_covariance", "image_numbers", "images", "masks", "open_simulated", "respond", "rule", "spectrum_gain"]

DoubleArray = npt.NDArray[np.float64]
_CHUNK = 256


def spectrum_gain(size: int) -> DoubleArray:
    """Return the amplitude of each spatial frequency, falling as frequency to the power -1.2.

    Parameters
    ----------
    size : int
        Image height and width in pixels.

    Returns
    -------
    array of float64 (row frequency, column frequency)
        In the order of :func:`numpy.fft.fftfreq`, with a mean square of 1.
    """
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, np.newaxis], frequency)
    # the mean of an image is a frequency of 0, at which the power law has no value
    radius[0, 0] += 0.5 * radius[0, 1]
    gain = radius**-1.2
    return np.asarray(gain / np.sqrt(np.mean(gain**2)))


def exact_covariance(size: int) -> DoubleArray:
    """Return the covariance of two pixels by their distance, which wraps around the edges.

    Parameters
    ----------
    size : int
        Image height and width in pixels.

    Returns
    -------
    array of float64 (row distance, column distance)
        1 at distance 0.
    """
    return np.asarray(np.real(np.fft.ifft2(spectrum_gain(size) ** 2)))


def images(seed: int, numbers: IntArray, size: int) -> FloatArray:
    """Draw images by their numbers: stationary Gaussian fields of mean 0 and variance 1.

    Parameters
    ----------
    seed : int
        Seed of the study.
    numbers : array of int (image,)
        Which images.
    size : int
        Height and width in pixels.

    Returns
    -------
    array of float32 (image, row, column)
    """
    from scipy import fft  # only who makes images waits for it

    gain = spectrum_gain(size)
    drawn = np.empty((len(numbers), size, size), dtype=np.float32)
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        # two independent maps: with a real one alone the field would be symmetric about its first pixel
        noise = np.stack([generator(seed, "image", int(n)).standard_normal((2, size, size)) for n in chunk])
        spectrum = gain * (noise[:, 0] + 1j * noise[:, 1])
        drawn[start : start + len(chunk)] = fft.ifft2(spectrum, norm="ortho", overwrite_x=True).real
    return drawn


# --- the rules ------------------------------------------------------------------------------------------------------


def _pixels(values: FloatArray, mask: DoubleArray) -> DoubleArray:
    return np.asarray(values[:, mask > 0], dtype=np.float64)


def _cosine(a: DoubleArray, b: DoubleArray) -> DoubleArray:
    """Cosine of each pair of rows, of raw (not centred) pixels."""
    return np.asarray(np.sum(a * b, axis=1) / np.sqrt(np.sum(a**2, axis=1) * np.sum(b**2, axis=1)))


def _weighted_sum(values: FloatArray, size: int) -> DoubleArray:
    return np.asarray(np.einsum("nij,ij->n", values, masks("weighted_sum", size)["weights"])[:, np.newaxis])


def _maximum(values: FloatArray, size: int) -> DoubleArray:
    means = [_pixels(values, mask).mean(axis=1) for mask in masks("maximum", size).values()]
    return np.max(means, axis=0)[:, np.newaxis]  # type: ignore[no-any-return]


def _pair_cosines(values: FloatArray, size: int) -> DoubleArray:
    """Cosines (image, pair) of the two left and the two right corners."""
    top_left, top_right, bottom_left, bottom_right = (_pixels(values, m) for m in masks("noisy_pair", size).values())
    return np.stack([_cosine(top_left, bottom_left), _cosine(top_right, bottom_right)], axis=1)


def _corner_cosines(values: FloatArray, size: int, squares: IntArray | None = None) -> DoubleArray:
    """Cosines (image, corner) of centre and corners; ``squares`` (image, corner) says whose square each corner has."""
    parts = {name: _pixels(values, mask) for name, mask in masks("permuted", size).items()}
    reference = np.concatenate([parts["centre ring"], parts["centre square"]], axis=1)
    corner_squares = np.stack([parts[f"{corner} square"] for corner in CORNERS], axis=1)
    if squares is not None:
        corner_squares = np.take_along_axis(corner_squares, squares[:, :, np.newaxis], axis=1)
    candidates = [
        np.concatenate([parts[f"{corner} ring"], corner_squares[:, i]], axis=1) for i, corner in enumerate(CORNERS)
    ]
    return np.stack([_cosine(reference, candidate) for candidate in candidates], axis=1)


_RULES: dict[str, Callable[[FloatArray, int], DoubleArray]] = {
    "weighted_sum": _weighted_sum,
    "maximum": _maximum,
    "noisy_pair": lambda values, size: _pair_cosines(values, size).max(axis=1, keepdims=True),
    "permuted": _corner_cosines,
}


def rule(experiment: str, values: FloatArray) -> DoubleArray:
    """Return the noise-free statistic of images.

    Parameters
    ----------
    experiment : {"weighted_sum", "maximum", "noisy_pair", "permuted"}
        Experiment A, B, C or D.
    values : array (image, row, column)
        The images.

    Returns
    -------
    array of float64 (image, target)
        A: the weighted sum of pixels; B: the largest of three region means; C: the larger of the two pairs' cosines;
        D: the cosine of the centre with each of the four corners, whose largest tells the class.
    """
    return _RULES[experiment](values, values.shape[-1])


def respond(experiment: str, values: FloatArray, seed: int, numbers: IntArray) -> DoubleArray:
    """Return the responses to images, with the noise of the labels and before standardisation.

    Parameters
    ----------
    experiment : {"weighted_sum", "maximum", "noisy_pair", "permuted"}
        Experiment A, B, C or D.
    values : array (image, row, column)
        The images.
    seed : int
        Seed of the study.
    numbers : array of int (image,)
        Their numbers.

    Returns
    -------
    array of float64 (image, target)
        A, B: as :func:`rule`. C: the right pair's cosine counts as 0 in every second image, drawn at random. D: one-hot
        class, the squares in the corners being permuted at random in each image.
    """
    size = values.shape[-1]
    if experiment == "noisy_pair":
        cosines = _pair_cosines(values, size)
        keep = np.array([generator(seed, "dropped pair", int(n)).random() >= 0.5 for n in numbers])
        cosines[:, 1] *= keep
        return np.asarray(cosines.max(axis=1, keepdims=True))
    if experiment == "permuted":
        draws = [generator(seed, "permuted squares", int(n)).permutation(len(CORNERS)) for n in numbers]
        cosines = _corner_cosines(values, size, np.array(draws, dtype=np.int64).reshape(-1, len(CORNERS)))
        return one_hot(cosines.argmax(axis=1), len(CORNERS)).astype(np.float64)
    return rule(experiment, values)


# --- the dataset ----------------------------------------------------------------------------------------------------


class _Reader:
    """Draws images and their responses by position: test images first."""

    def __init__(self, data: SimulatedData, seed: int, numbers: IntArray) -> None:
        self._data, self._seed, self._numbers = data, seed, numbers
        self.mean, self.sd = 0.0, 1.0

    def raw(self, positions: IntArray) -> tuple[FloatArray, DoubleArray]:
        numbers = self._numbers[positions]
        values = images(self._seed, numbers, self._data.size)
        return values, respond(self._data.experiment, values, self._seed, numbers)

    def standardize_with(self, positions: IntArray) -> None:
        """Find mean and SD of the responses at some positions, without keeping their images."""
        # images are drawn again when they are written: that is cheaper than to keep them all
        chunks = [positions[start : start + _CHUNK] for start in range(0, len(positions), _CHUNK)]
        responses = np.concatenate([self.raw(chunk)[1] for chunk in chunks])
        self.mean, self.sd = float(responses.mean()), float(responses.std())

    def __call__(self, positions: IntArray) -> tuple[FloatArray, FloatArray]:
        values, responses = self.raw(positions)
        return values[:, np.newaxis], ((responses - self.mean) / self.sd).astype(np.float32)


def image_numbers(data: SimulatedData) -> IntArray:
    """Return the numbers of the test images, even ones, then of the training images, odd ones, (image,).

    Neither set depends on the size of the other.
    """
    test, train = np.arange(data.test_samples), np.arange(data.train_samples)
    return np.concatenate([2 * test, 2 * train + 1])


@contextmanager
def open_simulated(data: SimulatedData, seed: int) -> Iterator[Source]:
    """Open a simulated experiment.

    Parameters
    ----------
    data : SimulatedData
        Experiment, number and size of the images.
    seed : int
        Seed of the study.

    Yields
    ------
    Source
        Inputs (sample, 1, row, column). Numeric responses are standardised with mean and SD of the training images (of
        the test images if there are none for training); ``truth`` and ``truth_regions`` hold the known answer.

    Raises
    ------
    DataError
        If too few training images are asked for to standardise with.
    """
    if data.train_samples == 1:
        raise DataError(explain("data.train_samples", 1, "0, or 2 and more", "ask for more training images"))
    numbers = image_numbers(data)
    is_test = np.arange(len(numbers)) < data.test_samples
    reader = _Reader(data, seed, numbers)
    categories = data.experiment == "permuted"
    if not categories:
        reader.standardize_with(np.flatnonzero(is_test if data.train_samples == 0 else ~is_test))
    answer = planted(data.experiment, data.size)
    regions = {str(code): {"name": name, "color": None} for code, name in answer.names.items()}
    dims = ("channel", "row", "column")
    yield Source(
        shape=(1, data.size, data.size),
        kind="image",
        target_type="categories" if categories else "values",
        target_names=list(CORNERS) if categories else [data.experiment],
        groups=np.arange(len(numbers)),
        group_names=[],
        sample_ids=numbers,
        read=reader,
        origin={
            "name": "simulated images with planted masks",
            "citation": "Lelièvre and Chen, Integrated gradient correlation, arXiv 2404.13910",
            "experiment": data.experiment,
            "size": data.size,
            "response_mean": reader.mean,
            "response_sd": reader.sd,
        },
        test=is_test,
        variables={
            "truth": Variable(("target", *dims), answer.truth),
            "truth_regions": Variable(dims, answer.regions, {"regions": regions}),
        },
    )
