from pathlib import Path

import numpy as np
import pytest

from igc.config import SimulatedData, Split, TruthRois
from igc.data.planted_voxels import REGIONS, RESPONSE_NOISE, TARGETS, planted_voxels, voxel_plan
from igc.data.simulated import exact_covariance
from igc.data.simulated_voxels import voxels_and_responses
from igc.data.sources import open_source, write_samples
from igc.errors import DataError
from igc.roi.sources import truth
from igc.store.samples import open_samples

SIZE = 16
PLAN = voxel_plan(SIZE)
X, Y = voxels_and_responses(1, np.arange(12000), SIZE)


def inside(name: str) -> np.ndarray:
    return PLAN.regions == (REGIONS.index(name) + 1 if name in REGIONS else 0)


def settings(train: int = 40, test: int = 20, size: int = SIZE) -> SimulatedData:
    return SimulatedData(kind="simulated", experiment="fmri", train_samples=train, test_samples=test, size=size)


def test_covariance_of_the_fields_is_the_slow_double_sum_over_pixels() -> None:
    lags, index = exact_covariance(SIZE), np.arange(SIZE)
    wrapped = (index[:, None] - index) % SIZE
    pixels = lags[wrapped[:, None, :, None], wrapped[None, :, None, :]].reshape(SIZE**2, SIZE**2)
    flat = PLAN.fields.reshape(len(PLAN.fields), -1)
    np.testing.assert_allclose(PLAN.field_covariance, flat @ pixels @ flat.T, atol=1e-10)
    np.testing.assert_allclose(np.diag(PLAN.field_covariance), 1)
    np.testing.assert_allclose(flat.sum(axis=1), 0, atol=1e-10)


def test_voxels_have_the_exact_covariance() -> None:
    expected = PLAN.covariance
    variance = np.diag(expected)
    error = np.sqrt((np.outer(variance, variance) + expected**2) / len(X))
    assert np.abs((X.T @ X / len(X) - expected) / error).max() < 5


def test_the_best_weights_are_those_of_least_squares() -> None:
    best = PLAN.weights(PLAN.sum_signal)
    found = np.linalg.lstsq(X, Y[:, 0], rcond=1e-8)[0]
    assert np.linalg.norm(found - best) / np.linalg.norm(best) < 0.12
    noise = 1 - np.corrcoef(X @ best, Y[:, 0])[0, 1] ** 2
    assert noise == pytest.approx(1 - np.corrcoef(X @ found, Y[:, 0])[0, 1] ** 2, abs=0.01)


def test_copies_are_exact_and_share_the_weight_evenly() -> None:
    np.testing.assert_array_equal(X[:, inside("copies")], X[:, inside("original")])
    weights = planted_voxels(SIZE).truth[0]
    np.testing.assert_allclose(weights[inside("copies")], weights[inside("original")], rtol=1e-5)


def test_suppressors_tell_nothing_of_a_response_and_have_large_negative_weights() -> None:
    cross = PLAN.loading @ PLAN.field_covariance @ PLAN.sum_signal
    np.testing.assert_array_equal(cross[inside("suppressors")], 0)
    weights = planted_voxels(SIZE).truth[0]
    assert weights[inside("suppressors")].max() < -0.9 * weights[inside("unique")].min()


def test_no_voxel_predicts_the_product_linearly() -> None:
    r = (X - X.mean(axis=0)).T @ (Y[:, 1] - Y[:, 1].mean()) / len(X) / X.std(axis=0) / Y[:, 1].std()
    assert np.abs(r).max() < 5 / np.sqrt(len(X))


def test_responses_have_signals_of_their_planted_variance() -> None:
    partners = [PLAN.signals[name] for name in ("first partner", "second partner")]
    overlap = partners[0] @ PLAN.field_covariance @ partners[1]
    expected = [1 + RESPONSE_NOISE**2, 1 + overlap**2 + RESPONSE_NOISE**2]
    np.testing.assert_allclose(Y.var(axis=0), expected, rtol=0.06)


def test_a_sample_depends_on_its_number_alone() -> None:
    several = voxels_and_responses(1, np.array([700, 3]), SIZE)
    np.testing.assert_allclose(several[0], X[[700, 3]], atol=1e-6)
    np.testing.assert_allclose(several[1], Y[[700, 3]], atol=1e-6)
    assert not np.allclose(voxels_and_responses(2, np.array([3]), SIZE)[0], X[3])


def test_the_source_holds_voxels_standardised_responses_and_the_truth() -> None:
    with open_source(settings(), 3) as source:
        inputs, responses = source.read(np.arange(60))
    assert inputs.shape == (60, 2 * SIZE)
    assert source.target_names == list(TARGETS)
    np.testing.assert_allclose(responses[20:].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(responses[20:].std(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(source.variables["truth_regions"].values, PLAN.regions)


def test_the_store_offers_the_planted_regions(tmp_path: Path) -> None:
    write_samples(settings(), Split(), 0, tmp_path / "s.zarr", "fmri")
    samples = open_samples(tmp_path / "s.zarr")
    found = truth("truth", TruthRois(kind="truth"), samples, 0)
    assert [region.name for region in found.regions.values()] == list(REGIONS)
    assert samples["truth"].dims == ("target", "voxel")


@pytest.mark.parametrize(("given", "words"), [({"size": 18}, "multiple of 4"), ({"train": 1}, "train_samples")])
def test_impossible_settings_are_refused(given: dict[str, int], words: str) -> None:
    with pytest.raises(DataError, match=words), open_source(settings(**given), 0):
        pass
