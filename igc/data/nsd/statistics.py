"""Numbers that describe an image, which decoders predict from responses: luminance, contrast, slope of the spectrum.

Others are added with :func:`register_statistic`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from igc.errors import ConfigError, explain

__all__ = [
    "LUMINANCE",
    "STATISTICS",
    "TRANSFERS",
    "image_statistics",
    "luminance",
    "luminance_contrast",
    "mean_luminance",
    "register_statistic",
    "spectral_slope",
]

DoubleArray = npt.NDArray[np.float64]
Statistic = Callable[[DoubleArray], DoubleArray]

LUMINANCE = (0.2126729, 0.7151522, 0.0721750)
"""What linear red, green and blue add to the luminance Y (sRGB primaries, D65)."""

_FLOOR = 1e-3
_GREY = -2.44076063


def _srgb(values: DoubleArray) -> DoubleArray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


TRANSFERS: dict[str, Callable[[DoubleArray], DoubleArray]] = {
    "srgb": _srgb,
    "gamma2": np.square,
    "linear": lambda values: values,
}
"""From pixel / 255 to light: the sRGB curve; the square, as on the display of the experiment; none."""


def luminance(images: npt.NDArray[np.uint8], transfer: str = "srgb", log: bool = False) -> DoubleArray:
    """Return the luminance of each pixel.

    Parameters
    ----------
    images : array of uint8 (image, row, column, channel)
        Red, green, blue.
    transfer : str
        One of :data:`TRANSFERS`.
    log : bool
        Octaves above the grey of lightness 50, not below 1e-3 of white.

    Returns
    -------
    array of float64 (image, row, column)
        0 to 1, or octaves.
    """
    # all values a byte can have, through the curve once
    curve = TRANSFERS[transfer](np.arange(256) / 255.0)
    weighted = sum(weight * curve[images[..., channel]] for channel, weight in enumerate(LUMINANCE))
    light = np.asarray(weighted, dtype=np.float64)
    return np.asarray(np.log2(np.maximum(light, _FLOOR)) - _GREY) if log else light


def mean_luminance(light: DoubleArray) -> DoubleArray:
    """Return the mean over the pixels: (image, row, column) -> (image,)."""
    return np.asarray(light.mean(axis=(1, 2)))


def luminance_contrast(light: DoubleArray) -> DoubleArray:
    """Return the standard deviation over the pixels: (image, row, column) -> (image,)."""
    return np.asarray(light.std(axis=(1, 2)))


def spectral_slope(light: DoubleArray) -> DoubleArray:
    """Return the slope of the amplitude spectrum in double logarithmic coordinates, near -1 for natural images.

    Parameters
    ----------
    light : array of float64 (image, row, column)
        Square images.

    Returns
    -------
    array of float64 (image,)
        Of the line through log10 amplitude over log10 frequency, least squares over rings one cycle per image wide,
        from 2 to half the size; the amplitude of a ring is the root of its mean power. The mean is taken off and the
        edges are faded out (Hann), because an image does not go on at the other side. 0 for images of one grey.
    """
    size = light.shape[1]
    window = np.hanning(size + 2)[1:-1]
    weights = np.outer(window, window)
    centred = light - (light * weights).sum(axis=(1, 2), keepdims=True) / weights.sum()
    power = np.abs(np.fft.fft2(centred * weights)) ** 2
    frequency = np.fft.fftfreq(size, 1 / size)
    ring = np.round(np.hypot(frequency[:, np.newaxis], frequency)).astype(np.int64)
    # fading out mixes the lowest frequency with the mean, which has been taken off
    rings = np.arange(2, size // 2 + 1)
    membership = (ring.ravel() == rings[:, np.newaxis]).astype(np.float64)
    mean = power.reshape(len(light), -1) @ (membership / membership.sum(axis=1, keepdims=True)).T
    flat = centred.std(axis=(1, 2)) < 1e-12
    x = np.log10(rings) - np.log10(rings).mean()
    y = np.log10(np.where(flat[:, np.newaxis], 1.0, np.maximum(mean, np.finfo(float).tiny))) / 2
    return np.asarray(y @ x / (x @ x))


STATISTICS: dict[str, Statistic] = {
    "luminance": mean_luminance,
    "contrast": luminance_contrast,
    "slope": spectral_slope,
}
"""What can be predicted: luminance (image, row, column) -> a number an image."""


def register_statistic(name: str, statistic: Statistic) -> None:
    """Add a statistic under a new name.

    Parameters
    ----------
    name : str
        How the configuration calls it.
    statistic : callable
        Luminance (image, row, column) -> (image,), float64.

    Raises
    ------
    ConfigError
        If the name is taken.
    """
    if name in STATISTICS:
        raise ConfigError(explain("register_statistic", name, "a new name", "choose another name"))
    STATISTICS[name] = statistic


def image_statistics(
    images: npt.NDArray[np.uint8], names: Sequence[str], transfer: str = "srgb", log: bool = False
) -> DoubleArray:
    """Compute statistics of images.

    Parameters
    ----------
    images : array of uint8 (image, row, column, channel)
        Red, green, blue.
    names : sequence of str
        Of :data:`STATISTICS`.
    transfer, log
        As for :func:`luminance`.

    Returns
    -------
    array of float64 (image, statistic)

    Raises
    ------
    ConfigError
        If there is no such statistic or transfer function.
    """
    for what, name, known in [("transfer", transfer, TRANSFERS), *(("statistics", name, STATISTICS) for name in names)]:
        if name not in known:
            raise ConfigError(explain(f"data.{what}", repr(name), f"one of {', '.join(known)}", "correct the name"))
    light = luminance(images, transfer, log)
    return np.stack([STATISTICS[name](light) for name in names], axis=1)
