"""Whether intervals made of both reported errors hold the truth as often as they say: few seeds of the benchmark."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

SEEDS = 40


@pytest.fixture(scope="module")
def benchmark():
    """The script whose table is published, run here with fewer seeds."""
    path = Path(__file__).parents[2] / "benchmarks" / "interval_coverage.py"
    spec = importlib.util.spec_from_file_location("interval_coverage", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("targets", [[0, 1, 2], [0]], ids=["together", "alone, by contrast"])
@pytest.mark.parametrize("grouped", [False, True], ids=["single samples", "groups"])
@pytest.mark.parametrize("error", ["estimator_error", "standard_error"])
def test_intervals_hold_the_truth_as_often_as_they_say(benchmark, error, grouped, targets):
    population = benchmark.Population(grouped)
    if error == "estimator_error":
        counts = benchmark.estimator_case(population, 150, 4, SEEDS, targets)
    else:
        counts = benchmark.sampling_case(population, 150, 4, SEEDS, targets, size=4000)
    for level in (0.68, 0.95):
        # components of one map are related: what counts independently are the seeds, at least as many as SEEDS
        binomial = np.sqrt(level * (1 - level) / SEEDS)
        each = [(slice(k, k + 1), 2.5) for k in range(len(targets))]
        for some, width in (*each, (slice(None), 2.5 / np.sqrt(len(targets)))):
            share, spread = counts.coverage(level, some)
            assert spread < binomial
            assert abs(share - level) < width * binomial, (level, some, share)


def test_the_benchmark_would_notice_errors_that_are_a_fifth_too_small(benchmark):
    random = np.random.default_rng(0)
    honest = np.abs(1 + 0.1 * random.normal(size=(400, 3, 5)))
    misses = random.normal(size=honest.shape)
    for scale, low, high in ((1.0, 0.66, 0.70), (0.8, 0.50, 0.62)):
        share, _ = benchmark.Counts(misses, scale * honest, 63).coverage(0.68)
        assert low < share < high


def test_components_without_gradient_are_left_out(benchmark):
    misses, claims = np.ones((10, 3, 2)), np.ones((10, 3, 2))
    misses[:, :, 1] = claims[:, :, 1] = 0
    assert benchmark.Counts(2 * misses, claims, 63).coverage(0.68)[0] == 0
