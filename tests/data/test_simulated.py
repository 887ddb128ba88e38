import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igc.config import SimulatedData
from igc.data.simulated import exact_covariance, images, masks, open_simulated, respond, rule, spectrum_gain
from igc.errors import DataError

EXPERIMENTS = ("weighted_sum", "maximum", "noisy_pair", "permuted")


def everything(experiment, train=30, test=20, size=32, seed=3):
    settings_ = SimulatedData(
        kind="simulated", experiment=experiment, train_samples=train, test_samples=test, size=size
    )
    with open_simulated(settings_, seed) as source:
        inputs, responses = source.read(np.arange(train + test))
        return source, inputs, responses


# --- images -----------------------------------------------------------------------------------------------------------


def test_exact_covariance_has_the_stated_values():
    covariance = exact_covariance(64)
    assert covariance[0, 0] == pytest.approx(1)
    assert [covariance[0, lag] for lag in (1, 8, 32)] == pytest.approx([0.893, 0.513, 0.213], abs=5e-4)
    assert covariance.mean() == pytest.approx(0.265, abs=5e-4)
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-12)


def test_gain_is_the_slow_sum_over_frequencies():
    gain = spectrum_gain(16)
    frequencies = [k / 16 if k < 8 else k / 16 - 1 for k in range(16)]
    raw = [[(max((u * u + v * v) ** 0.5, 0.5 / 16)) ** -1.2 for u in frequencies] for v in frequencies]
    np.testing.assert_allclose(gain, raw / np.sqrt(np.mean(np.square(raw))))


def test_sample_covariance_of_images_is_the_exact_one():
    size, count = 16, 20000
    pixels = images(1, np.arange(count), size).reshape(count, -1).astype(float)
    lag = exact_covariance(size)
    index = np.arange(size)
    wrapped = (index[:, None] - index) % size
    expected = lag[wrapped[:, None, :, None], wrapped[None, :, None, :]].reshape(size**2, size**2)
    # the error of a covariance of Gaussians: sqrt((1 + c^2) / n)
    z = (pixels.T @ pixels / count - expected) / np.sqrt((1 + expected**2) / count)
    assert np.abs(z).max() < 6
    assert np.mean(z**2) == pytest.approx(1, abs=0.35)
    assert np.abs(pixels.mean(axis=0)).max() < 6 / np.sqrt(count)


def test_image_is_the_filtered_noise_of_its_own_generator():
    from igc.seeding import generator

    a, b = generator(5, "image", 7).standard_normal((2, 16, 16))
    expected = np.fft.ifft2(spectrum_gain(16) * (a + 1j * b), norm="ortho").real
    np.testing.assert_allclose(images(5, np.array([7]), 16)[0], expected, atol=1e-6)


@settings(max_examples=20)
@given(numbers=st.lists(st.integers(0, 999), min_size=1, max_size=6), seed=st.integers(0, 2**40))
def test_image_depends_on_its_number_and_the_seed_alone(numbers, seed):
    together = images(seed, np.array(numbers), 16)
    alone = [images(seed, np.array([n]), 16)[0] for n in numbers]
    np.testing.assert_array_equal(together, alone)


def test_images_of_other_seeds_are_unrelated():
    a, b = images(0, np.arange(200), 16), images(1, np.arange(200), 16)
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.1


# --- rules ------------------------------------------------------------------------------------------------------------


def slow_cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5


def under(image, mask):
    return [float(image[i, j]) for i in range(len(image)) for j in range(len(image)) if mask[i, j]]


def slow_rule(experiment, image):
    m = masks(experiment, len(image))
    if experiment == "weighted_sum":
        return [sum(float(image[i, j]) * m["weights"][i, j] for i in range(len(image)) for j in range(len(image)))]
    if experiment == "maximum":
        return [max(np.mean(under(image, m[name])) for name in ("top", "left", "right"))]
    if experiment == "noisy_pair":
        left = slow_cosine(under(image, m["top left"]), under(image, m["bottom left"]))
        return [max(left, slow_cosine(under(image, m["top right"]), under(image, m["bottom right"])))]
    reference = under(image, m["centre ring"]) + under(image, m["centre square"])
    corners = ("top left", "top right", "bottom left", "bottom right")
    return [slow_cosine(reference, under(image, m[f"{c} ring"]) + under(image, m[f"{c} square"])) for c in corners]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_rule_is_the_slow_loop(experiment):
    drawn = images(2, np.arange(6), 32)
    np.testing.assert_allclose(rule(experiment, drawn), [slow_rule(experiment, image) for image in drawn], rtol=1e-6)


def test_label_noise_drops_the_right_pair_in_half_of_the_images():
    numbers = np.arange(3000)
    drawn = images(0, numbers, 16)
    noisy, clean = respond("noisy_pair", drawn, 0, numbers)[:, 0], rule("noisy_pair", drawn)[:, 0]
    parts = {name: drawn[:, mask > 0].astype(float) for name, mask in masks("noisy_pair", 16).items()}

    def cosines(a, b):
        return np.sum(a * b, axis=1) / np.sqrt(np.sum(a**2, axis=1) * np.sum(b**2, axis=1))

    left = cosines(parts["top left"], parts["bottom left"])
    right = cosines(parts["top right"], parts["bottom right"])
    dropped = ~np.isclose(noisy, clean)
    np.testing.assert_allclose(noisy[dropped], np.maximum(left, 0)[dropped])
    could_tell = right > np.maximum(left, 0)
    assert np.mean(dropped[could_tell]) == pytest.approx(0.5, abs=0.05)
    # the left pair is never dropped: where it is the larger one, nothing changes
    assert not dropped[(left > right) & (left > 0)].any()


def test_permuted_squares_tell_nothing_but_rings_do():
    numbers = np.arange(2000)
    drawn = images(0, numbers, 32)
    labels = respond("permuted", drawn, 0, numbers)
    assert set(labels.sum(axis=1)) == {1.0}
    agreement = np.mean(rule("permuted", drawn).argmax(axis=1) == labels.argmax(axis=1))
    assert 0.6 < agreement < 0.98


# --- the dataset ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_reading_does_not_depend_on_chunking(experiment):
    source, inputs, responses = everything(experiment)
    settings_ = SimulatedData(kind="simulated", experiment=experiment, train_samples=30, test_samples=20, size=32)
    with open_simulated(settings_, 3) as other:
        order = np.random.default_rng(0).permutation(50)
        for part in np.array_split(order, 7):
            some_inputs, some_responses = other.read(part)
            np.testing.assert_array_equal(some_inputs, inputs[part])
            np.testing.assert_array_equal(some_responses, responses[part])
    assert inputs.shape == (50, *source.shape)


@pytest.mark.parametrize("experiment", ["weighted_sum", "maximum", "noisy_pair"])
def test_responses_are_standardised_by_the_training_images(experiment):
    source, _, responses = everything(experiment)
    train = responses[~source.test]
    assert train.mean() == pytest.approx(0, abs=1e-6)
    assert train.std() == pytest.approx(1, abs=1e-6)
    assert abs(responses[source.test].std() - 1) > 1e-4


def test_without_training_images_the_test_images_standardise():
    _, _, responses = everything("weighted_sum", train=0)
    assert responses.mean() == pytest.approx(0, abs=1e-6)
    assert responses.std() == pytest.approx(1, abs=1e-6)


def test_test_images_do_not_depend_on_the_number_of_training_images():
    a, b = everything("permuted", train=30), everything("permuted", train=7)
    np.testing.assert_array_equal(a[1][:20], b[1][:20])
    np.testing.assert_array_equal(a[2][:20], b[2][:20])
    assert len(np.unique(a[0].sample_ids)) == 50


def test_one_training_image_is_refused():
    with pytest.raises(DataError, match="train_samples"):
        everything("weighted_sum", train=1)


def test_truth_and_its_regions_come_with_the_samples():
    source, _, _ = everything("permuted")
    assert source.target_type == "categories"
    assert source.variables["truth"].values.shape == (4, 1, 32, 32)
    names = [region["name"] for region in source.variables["truth_regions"].attributes["regions"].values()]
    assert len(names) == 10
    assert source.origin["experiment"] == "permuted"
