import numpy as np
import pandas as pd
import pytest
from scipy import stats

import igc
from igc.comparison.linear import COLUMNS, deep_against_linear, roi_difference
from igc.roi.sets import from_labels
from igc.stats.correlation import jackknife_error
from igc.testing.probes import linear_model, smooth_network, toy_samples
from tests.roi.synthetic import make_result

SHAPE = (1, 6, 8)
A, B = (from_labels(name, np.arange(48).reshape(SHAPE) % n) for name, n in (("a", 3), ("b", 4)))


def test_differences_and_their_errors_are_those_of_independent_estimates() -> None:
    network = make_result(SHAPE, {"a": A, "b": B}, seed=1)
    linear = make_result(SHAPE, {"b": B, "a": A}, seed=2, targets=("c", "a"))
    table = deep_against_linear(network, linear)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 2 * (3 + 4)
    row = table[(table["set"] == "b") & (table["index"] == 0) & (table["target"] == "c")].iloc[0]
    x, y = network["roi_attribution"].values[2, 6], linear["roi_attribution"].values[0, 3]
    se = np.hypot(network["roi_standard_error"].values[2, 6], linear["roi_standard_error"].values[0, 3])
    se = np.hypot(se, np.hypot(0.01, 0.01))
    assert row["roi"] == "rest"
    assert row["difference"] == pytest.approx(x - y)
    assert row["difference_se"] == pytest.approx(se)
    assert row["p"] == pytest.approx(2 * stats.norm.cdf(-abs((x - y) / se)))
    assert [row["ci_low"], row["ci_high"]] == pytest.approx([x - y - 1.959964 * se, x - y + 1.959964 * se], rel=1e-5)
    assert not row["paired"]
    assert row["network_score"] == pytest.approx(float(network["score"][2]))
    assert row["linear_score"] == pytest.approx(float(linear["score"][0]))


def test_differences_sum_to_the_difference_of_the_scores() -> None:
    table = deep_against_linear(make_result(SHAPE, {"a": A}, seed=1), make_result(SHAPE, {"a": A}, seed=2))
    for _, rows in table.groupby("target"):
        scores = rows["network_score"].iloc[0] - rows["linear_score"].iloc[0]
        assert rows["difference"].sum() == pytest.approx(scores, abs=1e-12)


def test_without_errors_there_is_no_test() -> None:
    bare = make_result(SHAPE, {"a": A}).drop_vars("roi_standard_error")
    table = deep_against_linear(bare, make_result(SHAPE, {"a": A}, seed=3))
    assert table["difference"].notna().all()
    assert table[["difference_se", "ci_low", "z", "p"]].isna().all().all()


def test_without_roi_sums_there_is_nothing_to_compare() -> None:
    assert deep_against_linear(make_result(SHAPE), make_result(SHAPE, {"a": A})).empty


def two_models(seed: int = 0, groups: np.ndarray | None = None, **options: object) -> list:
    """A network, and a linear model close to it, on the same samples."""
    truth = smooth_network(6, 2, seed=2)
    samples = toy_samples(300, 6, truth, seed=seed)
    weights = np.linalg.lstsq(samples[0] - samples[0].mean(axis=0), samples[1], rcond=None)[0].T
    labels = {"parts": np.array([1, 1, 2, 2, 3, 0])}
    return [
        igc.attribute(
            model, samples, points=8, rois=labels, groups=groups, permutations=0, progress=False, seed=s, **options
        )
        for model, s in ((truth, 0), (linear_model(weights), 0), (linear_model(weights), 1))
    ]


def test_leaving_the_same_groups_out_of_both_models_narrows_the_difference() -> None:
    network, linear, reshuffled = two_models()
    paired, independent = deep_against_linear(network, linear), deep_against_linear(network, reshuffled)
    assert paired["paired"].all()
    assert not independent["paired"].any()  # another seed pools other samples into blocks
    np.testing.assert_allclose(paired["difference"], independent["difference"], atol=1e-12)
    assert np.linalg.norm(paired["difference_se"]) < 0.6 * np.linalg.norm(independent["difference_se"])


def test_a_bootstrap_draws_the_same_groups_in_both_models() -> None:
    network, linear, reshuffled = two_models()
    paired = deep_against_linear(network, linear)
    a, b = (result["roi_without_group"].values[0] for result in (network, linear))
    parts = 64 * (a.mean(axis=0) - b.mean(axis=0)) - 63 * (a - b)  # pseudo-values of the difference
    random = np.random.default_rng(0)
    draws = [parts[random.integers(0, 64, 64)].mean(axis=0).reshape(-1) for _ in range(3000)]
    spread = np.std(draws, axis=0) * paired["difference_se"] / jackknife_error(a - b).reshape(-1)
    width = (paired["boot_high"] - paired["boot_low"]) / 2
    np.testing.assert_allclose(width, stats.t(63).ppf(0.975) * np.sqrt(64 / 63) * spread, rtol=0.12)
    assert (paired["boot_low"] < paired["difference"]).all()
    assert (paired["difference"] < paired["boot_high"]).all()
    assert deep_against_linear(network, reshuffled)[["boot_low", "boot_high"]].isna().all().all()


def test_false_discovery_is_controlled_over_each_set() -> None:
    table = deep_against_linear(make_result(SHAPE, {"a": A, "b": B}, seed=1), make_result(SHAPE, {"a": A, "b": B}))
    for _, rows in table.groupby("set"):
        np.testing.assert_allclose(rows["q"], stats.false_discovery_control(rows["p"]))


def test_groups_of_the_study_are_paired_whatever_the_seed() -> None:
    network, linear, other = two_models(groups=np.arange(300) // 10)
    first, second = (deep_against_linear(network, result) for result in (linear, other))
    assert second["paired"].all()
    np.testing.assert_allclose(second["difference_se"], first["difference_se"], rtol=1e-10)


def test_a_result_differs_from_itself_by_nothing() -> None:
    network = two_models()[0]
    table = roi_difference(network, network)
    assert (table["difference"] == 0).all()
    assert table["z"].isna().all()


def test_other_samples_are_not_paired() -> None:
    network, linear, _ = two_models(groups=np.arange(300) // 10)
    network.attrs["samples_digest"], linear.attrs["samples_digest"] = "a", "b"
    assert not deep_against_linear(network, linear)["paired"].any()


def test_the_interval_of_a_difference_covers_it() -> None:
    network = smooth_network(4, 1, seed=2)
    big = toy_samples(8000, 4, network, seed=999)
    slope = linear_model(np.linalg.lstsq(big[0] - big[0].mean(axis=0), big[1], rcond=None)[0].T)
    labels = {"parts": np.array([1, 1, 2, 0])}

    def difference(samples: tuple, points: float) -> pd.DataFrame:
        options = {"rois": labels, "permutations": 0, "progress": False}
        first = igc.attribute(network, samples, points=points, **options)
        return roi_difference(first, igc.attribute(slope, samples, points=0.1, **options))

    truth = difference(big, 4)["difference"].to_numpy()
    found = []
    for seed in range(50):
        table = difference(toy_samples(200, 4, network, seed=seed), 8)
        found.append((table["ci_low"].to_numpy() <= truth) & (truth <= table["ci_high"].to_numpy()))
    assert 0.88 <= np.mean(found) <= 0.99
