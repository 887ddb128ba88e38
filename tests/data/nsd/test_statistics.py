import colorsys

import h5py
import numpy as np
import pytest

from igc.data.nsd.layout import Layout
from igc.data.nsd.statistics import (
    STATISTICS,
    image_statistics,
    luminance,
    register_statistic,
    spectral_slope,
)
from igc.data.nsd.stimuli import area_weights, open_stimuli
from igc.data.nsd.writing import write_stimuli
from igc.data.simulated import images as natural
from igc.errors import ConfigError, DataError, ShapeError


def test_srgb_curve_and_weights_have_the_known_values():
    colors = np.array(
        [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [119, 119, 119], [10, 10, 10]]
    )
    light = luminance(colors.astype(np.uint8).reshape(-1, 1, 1, 3))[:, 0, 0]
    np.testing.assert_allclose(light[:5], [0, 1, 0.2126729, 0.7151522, 0.0721750], atol=1e-7)
    # a grey of 119 has a lightness near 50, and below the knee the curve is a line
    assert 116 * light[5] ** (1 / 3) - 16 == pytest.approx(50, abs=0.1)
    assert light[6] == pytest.approx(10 / 255 / 12.92)


def test_curve_is_continuous_at_its_knee_and_differs_from_the_square():
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1).reshape(-1, 1, 1, 3)
    srgb, square, linear = (luminance(grey, name)[:, 0, 0] for name in ("srgb", "gamma2", "linear"))
    assert (np.diff(srgb) > 0).all()
    np.testing.assert_allclose(square, (np.arange(256) / 255) ** 2, atol=1e-12)
    np.testing.assert_allclose(linear, np.arange(256) / 255, atol=1e-12)
    assert np.abs(srgb - square).max() > 0.03


def test_log_luminance_counts_octaves_from_middle_grey():
    grey = np.array([0, 119, 255], dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    octaves = luminance(grey, log=True)[:, 0, 0]
    assert octaves[1] == pytest.approx(0, abs=0.01)
    assert octaves[2] == pytest.approx(-np.log2(0.18418651), abs=1e-3)
    assert octaves[0] == pytest.approx(np.log2(1e-3) + 2.44076063)


def test_luminance_and_contrast_are_mean_and_deviation():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    found = image_statistics(images, ["contrast", "luminance"], "gamma2")
    for image, (contrast, mean) in zip(images, found, strict=True):
        light = [
            sum(w * (c / 255) ** 2 for w, c in zip((0.2126729, 0.7151522, 0.0721750), pixel, strict=True))
            for pixel in image.reshape(-1, 3).tolist()
        ]
        assert mean == pytest.approx(np.mean(light))
        assert contrast == pytest.approx(np.sqrt(np.mean(np.square(light)) - np.mean(light) ** 2))


@pytest.mark.parametrize("slope", [-0.8, -1.2, -1.8])
def test_slope_of_a_known_spectrum_is_found(slope):
    size, random = 64, np.random.default_rng(3)
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, None], frequency)
    radius[0, 0] = np.inf
    noise = random.normal(size=(200, 2, size, size))
    light = np.fft.ifft2(radius**slope * (noise[:, 0] + 1j * noise[:, 1])).real
    assert spectral_slope(light).mean() == pytest.approx(slope, abs=0.06)


def test_slope_depends_neither_on_mean_nor_on_contrast_and_is_0_without_a_pattern():
    light = natural(0, np.arange(4), 32).astype(float)
    np.testing.assert_allclose(spectral_slope(0.3 * light + 5), spectral_slope(light), rtol=1e-9)
    assert spectral_slope(np.full((1, 16, 16), 0.3)) == 0
    assert len(set(np.round(spectral_slope(light), 6))) == 4


def test_slope_of_a_single_grating_peaks_at_its_frequency():
    x = np.arange(32)
    coarse, fine = (np.tile(np.sin(2 * np.pi * f * x / 32), (32, 1)) for f in (2, 12))
    steep, shallow = spectral_slope(np.stack([coarse, fine]))
    assert steep < -1 < 0 < shallow


def test_statistics_can_be_added_once():
    try:
        register_statistic("red", lambda light: light[:, 0, 0])
        images = np.full((2, 4, 4, 3), 255, dtype=np.uint8)
        np.testing.assert_allclose(image_statistics(images, ["red"])[:, 0], 1.0000001)
        with pytest.raises(ConfigError, match="new name"):
            register_statistic("red", lambda light: light[:, 0, 0])
    finally:
        STATISTICS.pop("red", None)
    with pytest.raises(ConfigError, match="luminance, contrast, slope"):
        image_statistics(np.zeros((1, 4, 4, 3), np.uint8), ["red"])
    with pytest.raises(ConfigError, match="srgb, gamma2, linear"):
        image_statistics(np.zeros((1, 4, 4, 3), np.uint8), ["slope"], "rec709")


# --- the files ---


def test_images_are_read_by_number_in_any_order(small):
    path = Layout(small, 1).stimuli
    stimuli = open_stimuli(path)
    with h5py.File(path) as file:
        whole = file["imgBrick"][:]
    assert whole.dtype == np.uint8
    numbers = np.array([7, 3, 7, 0, len(whole) - 1])
    np.testing.assert_array_equal(stimuli.read(numbers), whole[numbers])
    assert stimuli.read(np.array([], dtype=int)).shape == (0, 24, 24, 3)
    for wrong in (-1, len(whole)):
        with pytest.raises(DataError, match=f"image {wrong}.*count from 0"):
            stimuli.read(np.array([0, wrong]))


def test_other_arrays_are_refused(tmp_path):
    path = tmp_path / "stimuli.hdf5"
    write_stimuli(path, np.zeros((2, 4, 4, 1), dtype=np.uint8))
    with pytest.raises(ShapeError, match=r"\(image, row, column, 3\)"):
        open_stimuli(path)
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(DataError, match="imgBrick"):
        open_stimuli(path)


def test_images_differ_in_luminance_contrast_and_slope(small):
    stimuli = open_stimuli(Layout(small, 1).stimuli)
    images = stimuli.read(np.arange(200))
    values = image_statistics(images, ["luminance", "contrast", "slope"])
    assert (values.std(axis=0) > [0.03, 0.015, 0.1]).all()
    saturation = np.mean([colorsys.rgb_to_hsv(*(p / 255))[1] for p in images[:, 5, 5].astype(float)])
    assert saturation < 0.3


@pytest.mark.parametrize(("size", "smaller"), [(8, 4), (425, 32), (7, 7), (10, 3)])
def test_smaller_images_are_averages_over_areas(size, smaller):
    weights = area_weights(size, smaller)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    # each pixel counts the same in all
    np.testing.assert_allclose(weights.sum(axis=0), smaller / size)
    values = np.random.default_rng(0).normal(size=size)
    # enlarged until no pixel is cut
    np.testing.assert_allclose(weights @ values, values.repeat(smaller).reshape(smaller, size).mean(axis=1), atol=1e-12)
    with pytest.raises(DataError, match="no larger"):
        area_weights(8, 9)
