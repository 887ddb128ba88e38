"""What a result keeps of its groups, and whether intervals made of it cover the truth."""

import numpy as np
import pytest
import torch
from scipy import stats

import igc
from igc.attribution.scores import Scores
from igc.roi.aggregate import roi_table, score_interval
from igc.stats.correlation import jackknife_error
from igc.stats.moments import Moments
from igc.steps import resampled
from igc.testing.probes import smooth_network, toy_samples

MODEL = smooth_network(6, 2, seed=2)
LABELS = {"parts": np.array([1, 1, 2, 2, 3, 0])}


def run(samples, groups=None, **options):
    return igc.attribute(
        MODEL, samples, rois=LABELS, groups=groups, progress=False, **{"points": 4, "permutations": 0, **options}
    )


def clustered(n, seed, size=5, noise=0.5):
    """Samples in groups that share half of the variance of inputs and of noise."""
    random = np.random.default_rng([seed, 7])
    groups = np.repeat(np.arange(n // size), size)
    mixing = np.random.default_rng(6).normal(size=(6, 6)) / np.sqrt(6) + np.eye(6)

    def shared(columns):
        return np.sqrt(0.5) * (random.normal(size=(n // size, columns))[groups] + random.normal(size=(n, columns)))

    inputs = shared(6) @ mixing
    with torch.no_grad():
        clean = MODEL(torch.as_tensor(inputs)).numpy()
    return (inputs, clean + noise * clean.std(axis=0) * shared(2)), groups


def test_sums_and_scores_without_each_group_give_their_errors():
    result = run(*clustered(300, 0))
    without = result["roi_without_group"].values
    assert without.shape == (1, 60, 2, 4)
    np.testing.assert_allclose(without.sum(axis=3), result["score_without_group"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(result["score_standard_error"], jackknife_error(result["score_without_group"].values[0]))
    total = jackknife_error(without[0]) ** 2
    expected = np.sqrt(np.maximum(total - 2 * result["roi_estimator_error"].values ** 2, 0))
    np.testing.assert_allclose(result["roi_standard_error"], expected, rtol=1e-10)


def test_a_score_without_a_group_is_that_of_the_other_samples():
    (inputs, responses), groups = clustered(300, 0)
    result = run((inputs, responses), groups)
    rest = groups != 17
    with torch.no_grad():
        predictions = MODEL(torch.as_tensor(inputs[rest])).numpy()
    expected = [np.corrcoef(predictions[:, k], responses[rest, k])[0, 1] for k in range(2)]
    np.testing.assert_allclose(result["score_without_group"][0, 17], expected, rtol=1e-10)


def test_the_interval_of_a_score_of_single_samples_is_about_fishers():
    result = run(toy_samples(2000, 6, MODEL, noise=2.0))
    low, high = score_interval(result)
    fisher_low, fisher_high = score_interval(result.drop_vars("score_standard_error"))
    np.testing.assert_allclose(high - low, fisher_high - fisher_low, rtol=0.25)


@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_cover_the_truth_over_fresh_datasets(grouped):
    def draw(n, seed):
        return clustered(n, seed) if grouped else (toy_samples(n, 6, MODEL, seed=seed), None)

    truth = run(*draw(10000, 10**6))["roi_attribution"].values.reshape(-1)
    inside = {0.68: [], 0.95: [], "bootstrap": []}
    for seed in range(100):
        result = run(*draw(200, seed), seed=seed)
        table = roi_table(result)
        inside[0.95].append((table["ci_low"] <= truth) & (truth <= table["ci_high"]))
        inside["bootstrap"].append((table["boot_low"] <= truth) & (truth <= table["boot_high"]))
        half = (table["ci_high"] - table["ci_low"]) / 2
        law = stats.t(result.attrs["degrees_of_freedom"])
        inside[0.68].append(np.abs(table["attribution"] - truth) <= half * law.ppf(0.84) / law.ppf(0.975))
    assert 0.92 <= np.mean(inside[0.95]) <= 0.985
    assert 0.92 <= np.mean(inside["bootstrap"]) <= 0.985
    assert 0.63 <= np.mean(inside[0.68]) <= 0.75


@pytest.mark.parametrize("components", [0, 4])
def test_scores_without_groups_do_not_depend_on_how_many_targets_are_taken_at_a_time(monkeypatch, components):
    random = np.random.default_rng(3)
    scalars, maps = random.normal(size=(60, 11, 2)), random.normal(size=(60, 1, 4))
    score = Scores(Moments.of(scalars, maps), Moments.of(scalars, maps[..., :components], np.arange(60) // 10))
    whole = resampled.score_variables([score], np.ones((1, 11)))
    monkeypatch.setattr(resampled, "_TARGETS", 4)
    parts = resampled.score_variables([score], np.ones((1, 11)))
    for name in whole:
        np.testing.assert_array_equal(parts[name][1], whole[name][1])
    expected = np.corrcoef(scalars[10:, 9].T)[0, 1]
    assert whole["score_without_group"][1][0, 0, 9] == pytest.approx(expected, abs=1e-12)
