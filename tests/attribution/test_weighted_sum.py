"""Experiment A of the simulated studies: the analytic model against the closed form of the theory."""

import numpy as np
import pytest

import igc
from igc.data.planted import masks
from igc.data.simulated import exact_covariance, images
from igc.models.registry import build_architecture
from igc.testing.closed_forms import linear_igc

SIZE, N = 64, 4000


@pytest.fixture(scope="module")
def experiment():
    inputs = images(0, np.arange(N), SIZE)
    mask = next(iter(masks("weighted_sum", SIZE).values()))
    responses = inputs.reshape(N, -1).astype(np.float64) @ mask.reshape(-1)
    model = build_architecture("weighted_sum", (1, SIZE, SIZE), 1)
    result = igc.attribute(model, (inputs.reshape(N, 1, SIZE, SIZE), responses[:, None]), points=1, progress=False)
    return inputs, responses, mask, result["attribution"].values.reshape(SIZE, SIZE)


def theory(mask):
    """m (C m) / (m' C m), with the exact stationary covariance of the images."""
    smoothed = np.fft.ifft2(np.fft.fft2(exact_covariance(SIZE)) * np.fft.fft2(mask)).real
    return mask * smoothed / np.sum(mask * smoothed)


def error(first, second):
    return np.linalg.norm(first - second) / np.linalg.norm(second)


def test_the_map_reaches_the_theory_more_closely_than_the_mask_itself(experiment):
    _, _, mask, found = experiment
    expected = theory(mask)
    assert error(found, expected) <= 0.03
    assert error(mask / mask.sum(), expected) > 0.04


def test_the_map_is_the_closed_form_of_its_sample(experiment):
    inputs, responses, mask, found = experiment
    expected = linear_igc(mask.reshape(1, -1), inputs.reshape(N, -1).astype(np.float64), responses[:, None])
    np.testing.assert_allclose(found.reshape(1, -1), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
