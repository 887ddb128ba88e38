"""Errors of drawn methods whose baselines are the samples themselves."""

import numpy as np
import pytest
import torch

import igc
from igc.attribution.drawn import BaselinePool, DrawnState, drawn_unit
from igc.attribution.gradients import Outputs
from igc.attribution.problem import Problem
from igc.attribution.standard.expected_gradients import ExpectedGradients
from igc.steps.sources import array_source
from igc.testing.probes import smooth_network

MODEL = smooth_network(4, 1, seed=2)
N_GROUPS, SIZE = 25, 4


def clustered(seed):
    """Samples in groups that share half of the variance."""
    random = np.random.default_rng([seed, 3])
    groups = np.repeat(np.arange(N_GROUPS), SIZE)
    inputs = random.normal(size=(N_GROUPS, 4))[groups] + random.normal(size=(len(groups), 4)) + 0.3
    with torch.no_grad():
        clean = MODEL(torch.as_tensor(inputs)).numpy()
    return (inputs, clean + 0.5 * random.normal(size=clean.shape)), groups


@pytest.mark.parametrize(
    ("method", "options"),
    [("expected_gradients", {"points": 12}), ("expected_gradients", {"points": 6, "summary": "covariance"})],
)
def test_sampling_errors_count_samples_as_baselines_too(method, options):
    results = []
    for seed in range(80):
        samples, groups = clustered(seed)
        results.append(igc.attribute(MODEL, samples, method, groups=groups, seed=seed, progress=False, **options))
    spread = np.stack([r["attribution"].values for r in results]).std(axis=0, ddof=1)
    claimed = np.sqrt(
        np.mean([r["standard_error"].values ** 2 + r["estimator_error"].values ** 2 for r in results], axis=0)
    )
    assert 0.92 <= np.linalg.norm(claimed) / np.linalg.norm(spread) <= 1.15


def test_the_mean_over_draws_of_each_sample_is_the_map_whatever_keeps_the_draws_apart():
    samples, groups = clustered(0)
    one_block = np.zeros(len(groups), int)
    for options in ({"points": 12}, {"points": 40, "summary": "mean"}):
        apart, together = (
            igc.attribute(MODEL, samples, "expected_gradients", groups=labels, progress=False, **options)
            for labels in (groups, one_block)
        )
        np.testing.assert_allclose(apart["attribution"], together["attribution"], rtol=0, atol=1e-12)
        assert np.isfinite(apart["standard_error"]).all()
        assert np.isnan(together["standard_error"]).all()


def unit_state(seed):
    """The state of six draws a sample of one dataset."""
    samples, groups = clustered(seed)
    problem = Problem(Outputs(MODEL), array_source(samples, 0)[0], groups, dtype=torch.float64)
    method = ExpectedGradients(BaselinePool(problem), 6, seed=0)
    return drawn_unit(problem, method, "mean", np.zeros(1), True, 0)


def test_states_with_baselines_survive_merging_and_writing():
    first, second = unit_state(0), unit_state(1)
    merged = first.merge(second)
    np.testing.assert_allclose(merged.by_baseline, first.by_baseline + second.by_baseline)
    assert merged.baseline_draws.sum() == 2 * 6 * N_GROUPS * SIZE
    again = DrawnState.from_arrays(merged.to_arrays())
    for name, value in merged.to_arrays().items():
        np.testing.assert_array_equal(again.to_arrays()[name], value)
    # draws are counted as distances to the mean over draws of their sample, which cancel
    np.testing.assert_allclose(merged.by_baseline.sum(axis=0), 0, atol=1e-9)
    assert float(np.abs(merged.by_baseline).max()) > 1
