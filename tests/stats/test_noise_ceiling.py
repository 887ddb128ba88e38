import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igc.errors import DataError
from igc.stats.noise_ceiling import (
    effective_repeats,
    noise_ceiling,
    normalized_correlation,
    normalized_r2,
    repeated_trials,
    signal_to_noise,
    zscored,
)


def simulated(true, n_images=500, n_voxels=60, sessions=3, seed=0):
    """Three trials an image, spread over sessions that differ in mean and scale; signal and noise SD are known."""
    rng = np.random.default_rng(seed)
    images = rng.permutation(np.repeat(np.arange(n_images), 3))
    signal = rng.normal(size=(n_images, n_voxels))
    signal = (signal - signal.mean(axis=0)) / signal.std(axis=0)
    values = true * signal[images] + rng.normal(size=(len(images), n_voxels))
    session = np.sort(np.arange(len(images)) % sessions)
    return values * (1 + session[:, None]) + 7.0 * session[:, None], images, session


def by_hand(zscores, images):
    """The exporter's steps, one voxel and one image at a time."""
    result = []
    for voxel in range(zscores.shape[1]):
        variances = []
        for image in sorted(set(images.tolist())):
            trials = [t for t in range(len(images)) if images[t] == image]
            if len(trials) == 3:
                a, b, c = (float(zscores[t, voxel]) for t in trials)
                mean = (a + b + c) / 3
                variances.append(((a - mean) ** 2 + (b - mean) ** 2 + (c - mean) ** 2) / 2)
        known = [v for v in variances if v == v]
        v = (sum(known) / len(known)) ** 0.5 if known else float("nan")
        result.append(max(0.0, 1 - v * v) ** 0.5 / v)
    return result


@pytest.mark.parametrize("true", [0.0, 0.3, 0.5, 1.0, 2.0])
def test_planted_signal_to_noise_and_ceiling_are_recovered(true):
    values, images, sessions = simulated(true)
    found = signal_to_noise(zscored(values, sessions), images)
    ceiling = np.median(noise_ceiling(found))
    assert ceiling == pytest.approx(100 * true**2 / (true**2 + 1 / 3), abs=2 if true else 6)
    assert np.median(found) == pytest.approx(true, abs=0.03 if true else 0.15)


def test_steps_are_those_of_the_exporter():
    values, images, sessions = simulated(0.7, n_images=40, n_voxels=5)
    # an image that lost a trial, and one voxel missing in one session
    images[np.flatnonzero(images == 3)[0]] = 99
    zscores = zscored(values, sessions)
    zscores[sessions == 1, 2] = np.nan
    zscores[:, 4] = np.nan
    found = signal_to_noise(zscores, images)
    np.testing.assert_allclose(found[:4], by_hand(zscores, images)[:4], rtol=1e-12)
    assert np.isnan(found[4])


def test_halves_take_turns_among_the_images_seen_three_times():
    values, images, sessions = simulated(0.7, n_images=30, n_voxels=4)
    images[np.flatnonzero(images == 0)[0]] = 99
    zscores = zscored(values, sessions)
    whole = sorted(i for i in set(images.tolist()) if (images == i).sum() == 3)
    for half in (1, 2):
        kept = np.isin(images, whole[half - 1 :: 2])
        np.testing.assert_allclose(
            signal_to_noise(zscores, images, half), by_hand(zscores[kept], images[kept]), rtol=1e-12
        )


def test_ceiling_does_not_depend_on_the_scale_of_a_session():
    values, images, sessions = simulated(0.5, n_images=60, n_voxels=3)
    scaled = values * np.where(sessions == 0, 300.0, 1.0)[:, None]
    np.testing.assert_allclose(
        signal_to_noise(zscored(scaled, sessions), images), signal_to_noise(zscored(values, sessions), images)
    )


def test_zscores_use_the_unbiased_deviation_of_each_session_and_of_the_reference_only():
    values = np.array([[1.0], [2.0], [3.0], [10.0], [30.0], [50.0]])
    sessions = np.array([0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(zscored(values, sessions)[:, 0], [-1, 0, 1, -1, 0, 1])
    reference = np.array([True, True, False, True, True, False])
    # means 1.5 and 20, deviations of two values: their distance over the root of 2
    expected = [-(0.5**0.5), 0.5**0.5, 1.5 * 2**0.5, -(0.5**0.5), 0.5**0.5, 1.5 * 2**0.5]
    np.testing.assert_allclose(zscored(values, sessions, reference)[:, 0], expected)


def test_constant_voxel_is_missing_without_a_warning():
    values = np.column_stack([np.zeros(6), np.arange(6.0)])
    result = zscored(values, np.zeros(6, dtype=int))
    assert np.isnan(result[:, 0]).all()
    assert np.isfinite(result[:, 1]).all()


def test_session_without_training_trials_is_refused():
    with pytest.raises(DataError, match="0 trials of session 1"):
        zscored(np.ones((4, 1)), np.array([0, 0, 1, 1]), np.array([True, True, False, False]))
    with pytest.raises(DataError, match="no image shown exactly 3 times"):
        signal_to_noise(np.ones((4, 1)), np.array([0, 0, 1, 1]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_repeated_trials_are_those_of_images_seen_exactly_three_times(images):
    found = repeated_trials(np.array(images))
    expected = [
        [t for t, image in enumerate(images) if image == wanted]
        for wanted in sorted(set(images))
        if images.count(wanted) == 3
    ]
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("ncsnr", "repeats", "percent"),
    [(1.0, 3, 75.0), (1.0, 1, 50.0), (0.0, 3, 0.0), (0.5, 3, 42.857142857142854), (np.nan, 3, np.nan)],
)
def test_ceiling_has_the_stated_values(ncsnr, repeats, percent):
    np.testing.assert_allclose(noise_ceiling(ncsnr, repeats), percent)


def test_unequal_repeats_replace_one_over_n_by_its_mean_over_images():
    a, b, c = 6234, 2121, 1056
    repeats = effective_repeats({3: a, 2: b, 1: c})
    assert 1 / repeats == pytest.approx((a / 3 + b / 2 + c) / (a + b + c))
    assert effective_repeats({3: 515}) == pytest.approx(3)


def test_normalised_scores_keep_the_sign_and_are_missing_below_the_floor():
    ceiling = np.array([36.0, 36.0, 0.0, np.nan, 10.0])
    r = np.array([0.3, -0.3, 0.3, 0.3, 0.3])
    np.testing.assert_allclose(normalized_correlation(r, ceiling, floor=20), [0.5, -0.5, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(normalized_r2(r, ceiling, floor=20), [0.25, -0.25, np.nan, np.nan, np.nan])
    assert normalized_correlation(0.1, 10.0) == pytest.approx(0.1 / 0.1**0.5)
