"""Expected Gradients against Integrated Gradients over all baselines."""

import numpy as np
import pytest

import igc
from igc.attribution.drawn import STRIPE, uniform_draws
from igc.testing.closed_forms import _path_gradients
from igc.testing.probes import smooth_network, toy_samples


def run(model, samples, summary="mean", **options):
    return igc.attribute(model, samples, "expected_gradients", progress=False, summary=summary, **options)


def test_maps_converge_to_integrated_gradients_over_all_samples():
    model = smooth_network(4, 2, seed=2)
    inputs, responses = toy_samples(30, 4, model)
    pairs = np.stack([[(x - b) * _path_gradients(model, b, x, 12) for b in inputs] for x in inputs])
    exact = pairs.mean(axis=1)
    result = run(model, (inputs, responses), points=3200)
    for name, expected in (("attribution", exact.mean(axis=0)), ("standard_deviation", exact.std(axis=0))):
        np.testing.assert_allclose(result[name], expected, rtol=0, atol=0.02 * np.abs(exact).max())
    error = (result["attribution"] - exact.mean(axis=0)) / result["estimator_error"]
    assert float(np.abs(error).max()) < 4


@pytest.mark.parametrize("summary", ["mean", "mean_absolute", "covariance"])
def test_errors_are_honest_over_seeds(summary):
    model = smooth_network(4, 2, seed=2)
    samples = toy_samples(50, 4, model)
    results = [run(model, samples, points=8, seed=seed, summary=summary) for seed in range(40)]
    spread = np.stack([r["attribution"].values for r in results]).std(axis=0, ddof=1)
    claimed = np.sqrt(np.mean([r["estimator_error"].values ** 2 for r in results], axis=0))
    np.testing.assert_allclose(np.linalg.norm(claimed), np.linalg.norm(spread), rtol=0.15)


def test_the_standard_deviation_does_not_grow_where_draws_are_few():
    model = smooth_network(4, 2, seed=2)
    samples = toy_samples(2000, 4, model)
    few, many = (run(model, samples, points=points)["standard_deviation"] for points in (2, 64))
    np.testing.assert_allclose(few, many, rtol=0.1)


def test_a_single_draw_has_an_error_that_cannot_be_told():
    model = smooth_network(4, 2, seed=2)
    result = run(model, toy_samples(50, 4, model), points=1)
    assert np.isnan(result["estimator_error"]).all()
    assert np.isfinite(result["attribution"]).all()
    assert result.attrs["evaluations"] == 50


def test_sampling_errors_leave_out_the_noise_of_the_draws():
    model = smooth_network(4, 1, seed=2)
    results = [run(model, toy_samples(150, 4, model, seed=s), points=2, baselines="zero", seed=s) for s in range(80)]
    spread = np.stack([r["attribution"].values for r in results]).std(axis=0, ddof=1)
    sampling, drawing = (
        np.sqrt(np.mean([r[name].values ** 2 for r in results], axis=0))
        for name in ("standard_error", "estimator_error")
    )
    assert np.linalg.norm(drawing) > 0.2 * np.linalg.norm(sampling)
    np.testing.assert_allclose(
        np.hypot(np.linalg.norm(sampling), np.linalg.norm(drawing)), np.linalg.norm(spread), rtol=0.2
    )


def test_the_mean_of_samples_explained_by_each_other_is_nothing_but_noise():
    model = smooth_network(4, 2, seed=2)
    result = run(model, toy_samples(100, 4, model), points=400)
    assert float(np.abs(result["attribution"] / result["estimator_error"]).max()) < 4
    default = run(model, toy_samples(100, 4, model), summary=None, points=400)
    np.testing.assert_array_equal(default["attribution"], result["mean_absolute"])
    assert (default.attrs["signed"], result.attrs["signed"]) == (False, True)


def test_draws_follow_from_the_number_of_the_sample_alone():
    rows = np.random.default_rng(0).permutation(3 * STRIPE)
    together = uniform_draws(3, "test", rows, 5, 4)
    for part in np.array_split(np.arange(len(rows)), 7):
        np.testing.assert_array_equal(uniform_draws(3, "test", rows[part], 5, 4), together[part])
    assert len(np.unique(together)) == together.size
    assert not np.isin(uniform_draws(3, "test", rows, 6, 4), together).any()


def test_block_size_does_not_matter():
    model = smooth_network(4, 2, seed=2)
    samples = toy_samples(150, 4, model)
    for method in ("expected_gradients", "bsc"):
        first, second = (
            igc.attribute(model, samples, method, progress=False, block_size=size, points=9) for size in (1024, 40)
        )
        np.testing.assert_allclose(second["attribution"], first["attribution"], rtol=0, atol=1e-12)
