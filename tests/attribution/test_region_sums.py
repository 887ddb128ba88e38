"""The null of maps that are covariances with the response, against the method run on permuted responses."""

import numpy as np
import pytest
import torch
from scipy import stats

import igc
from igc.errors import DataError, MethodError
from igc.roi.aggregate import roi_table
from igc.stats.exchange import exchange_units
from igc.stats.permutation import max_t
from igc.testing.probes import linear_model, smooth_network, toy_samples

LABELS = {"parts": np.array([1, 1, 2, 2, 3, 0]), "half": np.array([1, 1, 1, 0, 0, 0])}
RUNS, BLOCKS = np.repeat(np.arange(4), 30), np.repeat(np.arange(24), 5)
NETWORK = smooth_network(6, 2, seed=2)
LINEAR = linear_model(np.random.default_rng(1).normal(size=(2, 6)), 0.3)
CATEGORIES = {"predictive": "categories", "draws": 16}
METHODS = {
    "zero": (NETWORK, {"baselines": "zero", "points": 31}),
    "mean": (NETWORK, {"baselines": "mean", "points": 31}),
    "drawn": (NETWORK, {"baselines": 3, "points": 93}),
    "given": (NETWORK, {"baselines": np.ones(6), "points": 31}),
    "covariance": (NETWORK, {"method": "integrated_gradients", "summary": "covariance", "baselines": "zero"}),
    "gradient_x_input": (NETWORK, {"method": "gradient_x_input", "summary": "covariance"}),
    "bsc": (NETWORK, {"method": "bsc", "orders": 4}),
    "expected_gradients": (NETWORK, {"method": "expected_gradients", "summary": "covariance", "points": 4}),
    "pmi": (NETWORK, {"method": "pmi", "summary": "covariance", **CATEGORIES}),
    "information_gain": (NETWORK, {"method": "information_gain", "summary": "covariance", **CATEGORIES}),
    "linear_igc": (LINEAR, {"method": "linear_igc"}),
    "naive_correlation": (NETWORK, {"method": "naive_correlation"}),
}


def run(model, samples, **options):
    return igc.attribute(model, samples, rois=LABELS, progress=False, **options)


def grid(seed, n=120):
    return toy_samples(n, 6, NETWORK, seed=seed)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("blocks", [False, True])
def test_it_is_what_the_method_says_of_permuted_responses(name, blocks):
    model, options = METHODS[name]
    inputs, responses = grid(0)
    units = {"groups": RUNS, "exchange": BLOCKS} if blocks else {}
    null = run(model, (inputs, responses), permutations=19, **options, **units)["roi_null"].values
    exchange = exchange_units(120, RUNS, BLOCKS) if blocks else exchange_units(120)
    for index in (0, 7, 18):
        order = exchange.permutation(0, index)
        # the responses of the same samples in another order change neither baselines nor nodes
        expected = run(model, (inputs, responses[order]), permutations=0, **options)["roi_attribution"]
        np.testing.assert_allclose(null[index], expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", METHODS)
def test_the_closed_form_is_the_spread_over_very_many_permutations(name):
    model, options = METHODS[name]
    samples = grid(0, 40)
    many = run(model, samples, permutations=9999, **options)
    exact = run(model, samples, permutations="analytic", **options)
    assert "roi_null" not in exact
    np.testing.assert_allclose(many["roi_null"].values.std(axis=0), exact["roi_null_deviation"], rtol=0.05)
    np.testing.assert_array_equal(many["roi_null_deviation"], exact["roi_null_deviation"])
    np.testing.assert_allclose(
        many["roi_null"].values.mean(axis=0), 0, atol=0.05 * float(exact["roi_null_deviation"].max())
    )


@pytest.mark.parametrize("name", ["zero", "covariance", "bsc", "linear_igc"])
def test_neither_the_null_changes_with_batches_nor_the_result_with_its_null(name):
    model, options = METHODS[name]
    samples = grid(1, 300)
    whole = run(model, samples, permutations=25, block_size=64, **options)
    small = run(model, samples, permutations=25, block_size=64, batch_size=7, **options)
    np.testing.assert_allclose(small["roi_null"], whole["roi_null"], rtol=0, atol=1e-12)
    without = run(model, samples, permutations=0, block_size=64, **options)
    assert not {"roi_null", "roi_null_deviation"} & set(without)
    np.testing.assert_array_equal(whole["attribution"], without["attribution"])
    assert whole.attrs["evaluations"] == without.attrs["evaluations"]


@pytest.mark.parametrize("pool", [2, "rois"])
@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("options", [{"points": 4}, {"baselines": "zero"}, {"method": "bsc", "orders": 2}])
def test_pooling_inside_the_stream_leaves_it_as_it_is(options, pool, kept, monkeypatch):
    model = torch.nn.Sequential(torch.nn.Flatten(), smooth_network(16, 2, seed=2))
    inputs, responses = np.random.default_rng(0).normal(size=(60, 1, 4, 4)), grid(0, 60)[1]
    options = {"rois": {"thirds": np.arange(16).reshape(1, 4, 4) % 3}, "permutations": 19, "progress": False, **options}
    plain = igc.attribute(model, (inputs, responses), **options)["roi_null"]
    if not kept:
        monkeypatch.setattr("igc.steps.solving.RESOLVED_BYTES", 1)
    pooled = igc.attribute(model, (inputs, responses), pool=pool, **options)["roi_null"]
    np.testing.assert_allclose(pooled, plain, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["zero", "bsc"])
def test_an_interrupted_pass_goes_on_with_its_null(name, tmp_path, monkeypatch):
    model, options = METHODS[name]
    samples = grid(1)
    whole = run(model, samples, checkpoint=tmp_path, permutations=25, **options)["roi_null"].values
    monkeypatch.setattr("igc.attribution.region_sums._WatchedUnit.__call__", None)
    np.testing.assert_array_equal(
        run(model, samples, checkpoint=tmp_path, permutations=25, **options)["roi_null"], whole
    )


@pytest.mark.parametrize("options", [{"baselines": "zero", "points": 7}, {"method": "naive_correlation"}])
def test_responses_of_noise_give_uniform_p_standard_normal_z_and_a_controlled_family(options):
    n_targets = 300  # as many datasets, for their responses are independent
    inputs, responses = grid(0, 60)[0], np.random.default_rng(5).normal(size=(60, n_targets))
    result = run(smooth_network(6, n_targets), (inputs, responses), permutations=199, **options)
    parts = slice(0, 4)
    tests = [max_t(result["roi_attribution"][k, parts], result["roi_null"][:, k, parts]) for k in range(n_targets)]
    exact = roi_table(result.drop_vars("roi_null")).query("set == 'parts'")
    assert set(exact["null_test"]) == {"analytic"}
    assert exact["p_fwe"].isna().all()
    found = {
        "permutation": (np.stack([test.z for test in tests]), np.stack([test.p for test in tests])),
        "analytic": tuple(exact[name].to_numpy().reshape(n_targets, 4) for name in ("z_null", "p_null")),
    }
    for z, p in found.values():
        np.testing.assert_allclose([z.mean(), z.std()], [0, 1], atol=0.08)
        assert abs((p <= 0.05).mean() - 0.05) < 0.02
        for column, other in zip(p.T, z.T, strict=True):
            assert stats.kstest(column, "uniform").pvalue > 1e-3
            assert stats.kstest(other, "norm").pvalue > 1e-3
    family = sum(test.p_family.min() <= 0.05 for test in tests)
    assert stats.binomtest(family, n_targets, 0.05).pvalue > 1e-3
    assert sum(test.p.min() <= 0.05 for test in tests) > 2 * family


def slow(seed, columns, n=120):
    """Signals that change slowly in time, as those of fMRI do."""
    noise = np.random.default_rng([seed, columns]).normal(size=(n + 29, columns))
    kernel = np.exp(-np.arange(30) / 6)
    return np.apply_along_axis(np.convolve, 0, noise, kernel, "valid")


def test_slow_signals_inflate_the_closed_form_which_groups_therefore_refuse():
    model, options = METHODS["linear_igc"]
    many = linear_model(np.random.default_rng(1).normal(size=(60, 6)))
    z = [roi_table(run(many, (slow(s, 6), slow(s, 60)), permutations="analytic", **options))["z_null"] for s in (1, 2)]
    assert 1.8 < np.std(z) < 4
    samples = slow(0, 6), slow(0, 2)
    with pytest.raises(DataError, match=r"groups of up to 30 samples.*permute whole units") as caught:
        run(model, samples, groups=RUNS, permutations="analytic", **options)
    assert "\n" not in str(caught.value)
    assert "roi_null_deviation" not in run(model, samples, groups=RUNS, exchange=BLOCKS, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "igac", "permutations": 99}, "igac, which has no such null"),
        ({"method": "igac", "baselines": "zero", "permutations": 99}, "igac, which has no such null"),
        ({"method": "naive_ttest", "permutations": 99}, "naive_ttest, which has no such null"),
        ({"method": "integrated_gradients", "baselines": "zero", "permutations": 99}, "summary=covariance"),
        ({"method": "igc", "permutations": "analytic"}, "igc, which has no closed form.*shared baseline"),
        ({"method": "igc", "permutations": "all"}, "at least 19, or 'analytic'"),
        ({"method": "linear_igc", "permutations": 10**9}, "GiB"),
    ],
)
def test_where_responses_take_no_part_there_is_no_null(options, words):
    with pytest.raises(MethodError, match=words) as caught:
        run(LINEAR, grid(0), **options)
    assert "\n" not in str(caught.value)
    left = {key: value for key, value in options.items() if key != "permutations"}
    if options["method"] in {"igac", "naive_ttest", "integrated_gradients"}:
        assert "roi_null" not in run(LINEAR, grid(0), **left)


def test_with_many_targets_the_closed_form_is_the_default():
    model = smooth_network(6, 65)
    inputs, _ = grid(0, 30)
    responses = np.random.default_rng(0).normal(size=(30, 65))
    result = run(model, (inputs, responses), baselines="zero")
    assert "roi_null" not in result
    table = roi_table(result)
    assert set(table["null_test"]) == {"analytic"}
    assert "roi_null_deviation" not in run(model, (inputs, responses), groups=np.arange(30) // 2, baselines="zero")
