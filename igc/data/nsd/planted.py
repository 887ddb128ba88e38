"""A small visual system whose responses are known: natural-spectrum images and planted receptive fields.

V1 measures the contrast within a receptive field, V2 and hV4 the luminance within one, V3 the slope of the whole
image's spectrum, and the rest of the brain is noise. So each statistic that is decoded has one region that carries it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import fft

from igc.data.nsd.statistics import LUMINANCE, luminance, spectral_slope
from igc.seeding import generator

__all__ = [
    "AVERAGE_SIZES",
    "WIDTH",
    "Cells",
    "cells",
    "draw_images",
    "drives",
    "layout_of_average",
    "layout_of_surface",
    "layout_of_volume",
    "receptive_fields",
]

WIDTH = 8.4
"""Width of an image in degrees of visual angle."""

AVERAGE_SIZES = (162, 642, 2562, 10242)
"""Vertices of a hemisphere of fsaverage2 to 5, each of which begins with those of the smaller ones."""

DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Anatomy = tuple[DoubleArray, npt.NDArray[np.bool_]]
_VISUAL = {(0, False): 1, (0, True): 2, (1, False): 3, (1, True): 4, (2, False): 5, (2, True): 6, (3, False): 7}
_CODES: dict[int, Literal["contrast", "luminance", "slope"]] = {
    **dict.fromkeys((1, 2), "contrast"),
    **dict.fromkeys((3, 4, 7), "luminance"),
    **dict.fromkeys((5, 6), "slope"),
}


@dataclass(frozen=True)
class Cells:
    """The components of one space of one subject.

    Attributes
    ----------
    right : array of bool (component,)
        Right hemisphere.
    cortex : array of bool (component,)
        Others have no response at all, or are white matter.
    brain : array of bool (component,)
        Others are outside the head: 0 in every session.
    labels : dict of str to array of int32 (component,)
        ROI sets; 0 without a label.
    code : array of str (component,)
        What is measured: contrast, luminance, slope, or "" for noise.
    field : array of float64 (component, 3)
        Receptive field: x and y of the centre and SD, in degrees; x to the right, y upwards.
    ncsnr : array of float64 (component,)
        SD of the signal over that of the noise.
    """

    right: npt.NDArray[np.bool_]
    cortex: npt.NDArray[np.bool_]
    brain: npt.NDArray[np.bool_]
    labels: dict[str, npt.NDArray[np.int32]]
    code: npt.NDArray[np.str_]
    field: DoubleArray
    ncsnr: DoubleArray


# --- images -----------------------------------------------------------------------------------------------------------


def _light(seed: int, number: int, size: int) -> DoubleArray:
    """Draw the luminance (row, column) of one image: spectrum, contrast and mean differ between images."""
    random = generator(seed, "nsd image", number)
    falloff, contrast, mean = random.uniform([0.8, 0.05, 0.35], [1.8, 0.18, 0.6])
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, np.newaxis], frequency)
    radius[0, 0] = np.inf
    noise = random.standard_normal((2, size, size))
    pattern = fft.ifft2(radius**-falloff * (noise[0] + 1j * noise[1])).real
    return np.asarray(np.clip(mean + contrast * pattern / pattern.std(), 0.002, 1.0))


def draw_images(seed: int, numbers: IntArray, size: int) -> npt.NDArray[np.uint8]:
    """Draw images by their numbers.

    Parameters
    ----------
    seed : int
        Seed of the dataset.
    numbers : array of int (image,)
        Which images; each depends on the seed and its number only.
    size : int
        Height and width in pixels.

    Returns
    -------
    array of uint8 (image, row, column, channel)
        sRGB, slightly tinted.
    """
    drawn = np.empty((len(numbers), size, size, 3), dtype=np.uint8)
    for row, number in enumerate(numbers):
        tint = 1 + generator(seed, "nsd tint", int(number)).uniform(-0.1, 0.1, 3)
        light = np.minimum(_light(seed, int(number), size)[..., np.newaxis] * tint / (tint @ np.array(LUMINANCE)), 1.0)
        encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        drawn[row] = np.rint(255 * encoded)
    return drawn


# --- anatomy ----------------------------------------------------------------------------------------------------------


def layout_of_volume(shape: tuple[int, ...]) -> Anatomy:
    """Return positions (component, x y z) from -1 to 1 of all voxels, and which lie in the right hemisphere."""
    axes = [(2 * np.arange(n) + 1) / n - 1 for n in shape]
    position = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return position, position[:, 0] >= 0


def layout_of_surface(n_vertices: int) -> Anatomy:
    """Return positions of the vertices of two spheres, left first, and which lie in the right hemisphere."""
    k = np.arange(n_vertices) + 0.5
    z, turn = 1 - 2 * k / n_vertices, np.pi * (1 + 5**0.5) * k
    radius = np.sqrt(1 - z**2)
    sphere = np.stack([radius * np.cos(turn), radius * np.sin(turn), z], axis=1)
    return np.concatenate([sphere, sphere]), np.arange(2 * n_vertices) >= n_vertices


def layout_of_average(n_vertices: int) -> Anatomy:
    """Return the same for the average surface: vertices are where its own sphere has them, if it has so many."""
    if n_vertices not in AVERAGE_SIZES:
        return layout_of_surface(n_vertices)
    from nilearn.datasets import load_fsaverage

    spheres = load_fsaverage("fsaverage5")["sphere"].parts
    sides = [np.asarray(spheres[side].coordinates[:n_vertices], dtype=np.float64) for side in ("left", "right")]
    position = np.concatenate(sides)
    position /= np.linalg.norm(position, axis=1, keepdims=True)
    return position, np.arange(2 * n_vertices) >= n_vertices


def _visual_areas(position: DoubleArray, cortex: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Divide the back of the brain into bands, lower and upper half."""
    # y runs from back to front
    band = np.digitize(position[:, 1], [-0.6, -0.4, -0.2, 0.0])
    codes = [_VISUAL.get((int(b), bool(z >= 0)), 0) for b, z in zip(band, position[:, 2], strict=True)]
    return np.where(cortex, codes, 0).astype(np.int32)


def cells(anatomy: Anatomy, seed: int, subject: int, space: int, missing: tuple[str, ...] = ()) -> Cells:
    """Plant areas, receptive fields and signal into a space.

    Parameters
    ----------
    anatomy : tuple
        From :func:`layout_of_volume` or :func:`layout_of_surface`.
    seed : int
        Seed of the dataset.
    subject, space : int
        Numbers that the draws depend on.
    missing : tuple of str
        Of ``hV4`` and ``OFA``: labels that this subject lacks.

    Returns
    -------
    Cells
    """
    position, right = anatomy
    distance = np.sum(position**2, axis=1)
    brain = distance <= 1 + 1e-9
    cortex = brain & (distance >= 0.2)
    visual = _visual_areas(position, cortex)
    if "hV4" in missing:
        visual[visual == 7] = 0
    general = cortex & (position[:, 1] < 0.1)
    front = general & (position[:, 1] >= -0.2)
    streams = np.where(front, np.where(position[:, 2] < 0, 5, 6), 1) * general
    faces = np.where(front & (position[:, 2] < 0), np.where(np.abs(position[:, 0]) < 0.5, 2, 1), 0)
    if "OFA" in missing:
        faces[faces == 1] = 0
    # areas of other categories, which overlap with those of faces
    inner = np.where(np.abs(position[:, 0]) < 0.5, 2, 1)
    categories = {
        "floc-faces": faces,
        "floc-words": inner * (front & (position[:, 2] < 0.2)),
        "floc-places": inner * (front & (position[:, 2] >= 0.2)),
        "floc-bodies": inner * (front & (position[:, 2] >= -0.2)),
    }
    random = generator(seed, "nsd cells", subject, space)
    n = len(position)
    eccentricity, angle = random.uniform(0.4, 3.2, n), random.uniform(-1.3, 1.3, n)
    # each hemisphere sees the other side of the visual field
    side = np.where(right, -1.0, 1.0)
    field = np.stack([side * eccentricity * np.cos(angle), eccentricity * np.sin(angle), 0.3 + 0.2 * eccentricity], 1)
    code = np.array([_CODES.get(int(label), "") for label in visual])
    labels = {"prf-visualrois": visual, "nsdgeneral": general, "streams": streams, **categories}
    return Cells(
        right=right,
        cortex=cortex,
        brain=brain,
        labels={name: values.astype(np.int32) for name, values in labels.items()},
        code=code,
        field=field,
        ncsnr=np.where(code == "", 0.0, random.uniform(0.5, 1.5, n)),
    )


# --- responses --------------------------------------------------------------------------------------------------------


def receptive_fields(field: DoubleArray, size: int) -> DoubleArray:
    """Return the weight of each pixel in each receptive field.

    Parameters
    ----------
    field : array of float64 (component, 3)
        x, y and SD in degrees.
    size : int
        Height and width of the images in pixels.

    Returns
    -------
    array of float64 (component, row, column)
        Gaussians that sum to 1.
    """
    axis = ((np.arange(size) + 0.5) / size - 0.5) * WIDTH
    horizontal = np.exp(-((axis - field[:, :1]) ** 2) / (2 * field[:, 2:] ** 2))
    vertical = np.exp(-((-axis - field[:, 1:2]) ** 2) / (2 * field[:, 2:] ** 2))
    weights = vertical[:, :, np.newaxis] * horizontal[:, np.newaxis, :]
    return np.asarray(weights / weights.sum(axis=(1, 2), keepdims=True))


def drives(planted: Cells, images: npt.NDArray[np.uint8]) -> DoubleArray:
    """Return what each component would answer to each image without noise, before any scaling.

    Parameters
    ----------
    planted : Cells
        The components.
    images : array of uint8 (image, row, column, channel)
        The images.

    Returns
    -------
    array of float64 (image, component)
        0 for components that measure nothing.
    """
    light = luminance(images)
    flat = light.reshape(len(light), -1)
    deviation = (flat - flat.mean(axis=1, keepdims=True)) ** 2
    result = np.zeros((len(light), len(planted.code)))
    for code, pixels in (("luminance", flat), ("contrast", deviation)):
        chosen = planted.code == code
        weights = receptive_fields(planted.field[chosen], light.shape[1]).reshape(np.count_nonzero(chosen), -1)
        result[:, chosen] = pixels @ weights.T
    result[:, planted.code == "contrast"] **= 0.5
    result[:, planted.code == "slope"] = spectral_slope(light)[:, np.newaxis]
    return result
