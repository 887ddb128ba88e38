"""The permutation null of ROI sums against the estimator run on permuted responses."""

import numpy as np
import pytest
import torch
from scipy import stats

import igc
from igc.errors import DataError, IgcError, MethodError, ShapeError
from igc.roi.aggregate import roi_table
from igc.stats.exchange import exchange_units
from igc.testing.closed_forms import linear_igc
from igc.testing.probes import linear_model, smooth_network, toy_samples

LABELS = {"parts": np.array([1, 1, 2, 2, 3, 0]), "half": np.array([1, 1, 1, 0, 0, 0])}
INDICATOR = np.stack([LABELS["parts"] == k for k in (1, 2, 3, 0)] + [LABELS["half"] == k for k in (1, 0)]).astype(float)
RUNS, BLOCKS = np.repeat(np.arange(4), 30), np.repeat(np.arange(24), 5)


def run(model, samples, **options):
    return igc.attribute(model, samples, progress=False, **{"rois": LABELS, "points": 4, **options})


def permuted(exchange, count, seed=0):
    return [exchange.permutation(seed, index) for index in range(count)]


@pytest.mark.parametrize(
    ("options", "exchange"),
    [
        ({}, exchange_units(120)),
        ({"groups": RUNS, "exchange": BLOCKS}, exchange_units(120, RUNS, BLOCKS)),
        ({"groups": BLOCKS}, exchange_units(120, BLOCKS)),
    ],
)
def test_for_a_linear_model_it_is_the_closed_form_of_each_permutation(options, exchange):
    weights = np.random.default_rng(1).normal(size=(2, 6))
    model = linear_model(weights, 0.3)
    inputs, responses = toy_samples(120, 6, model)
    null = run(model, (inputs, responses), permutations=25, **options)["roi_null"].values
    for found, order in zip(null, permuted(exchange, 25), strict=True):
        expected = linear_igc(weights, inputs, responses[order]) @ INDICATOR.T
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def definition(model, inputs, orders, responses):
    """ROI sums over all pairs, with the mean gradient of every segment computed once for all permutations."""
    n, k = responses.shape
    x = torch.as_tensor(inputs)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    difference = x[:, None] - x[None]
    gradient = torch.zeros((k, n, n, x.shape[1]), dtype=torch.float64)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        points = (x[None] + node * difference).reshape(n * n, -1).requires_grad_()
        outputs = model(points)
        for target in range(k):
            found = torch.autograd.grad(outputs[:, target].sum(), points, retain_graph=True)[0]
            gradient[target] += weight * found.reshape(n, n, -1)
    sums = np.einsum("knmi,ri->knmr", (gradient * difference).numpy(), INDICATOR)
    spread = responses.std(axis=0) * model(x).detach().numpy().std(axis=0)
    maps = []
    for order in orders:
        half = 0.5 * (responses[order][:, None] - responses[order][None])
        maps.append(np.einsum("nmk,knmr->kr", half, sums) / n**2 / spread[:, None])
    return np.stack(maps)


def test_it_converges_to_the_definition_with_the_permuted_responses():
    model = smooth_network(6, 2, seed=2)
    inputs, responses = toy_samples(40, 6, model)
    found = run(model, (inputs, responses), permutations=19, null_points=64)
    exact = definition(model, inputs, permuted(exchange_units(40), 19), responses)
    error = found["roi_null"].values - exact
    ratio = np.sqrt((error**2).mean() / (found["roi_null_error"].values ** 2).mean())
    assert 0.75 < ratio < 1.3
    assert np.linalg.norm(error) < 0.25 * np.linalg.norm(exact - exact.mean(axis=0))


def test_every_set_sums_to_the_score_of_the_permuted_responses():
    model = smooth_network(6, 2, seed=2)
    inputs, responses = toy_samples(90, 6, model)
    null = run(model, (inputs, responses), permutations=20, null_points=1)["roi_null"].values
    predictions = model(torch.as_tensor(inputs)).detach().numpy()
    for found, order in zip(null, permuted(exchange_units(90), 20), strict=True):
        scores = [np.corrcoef(predictions[:, k], responses[order, k])[0, 1] for k in range(2)]
        np.testing.assert_allclose(found[:, :4].sum(axis=1), scores, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found[:, 4:].sum(axis=1), scores, rtol=0, atol=1e-12)


def test_it_depends_neither_on_batches_nor_on_interruption(tmp_path, monkeypatch):
    model = smooth_network(6, 2, seed=2)
    samples = toy_samples(300, 6, model)
    options = {"permutations": 20, "null_points": 2, "block_size": 64}
    whole = run(model, samples, **options)["roi_null"].values
    np.testing.assert_allclose(run(model, samples, batch_size=7, **options)["roi_null"], whole, rtol=0, atol=1e-12)
    run(model, samples, checkpoint=tmp_path, **options)
    monkeypatch.setattr("igc.attribution.correlation.null.RegionNull.unit", None)
    np.testing.assert_array_equal(run(model, samples, checkpoint=tmp_path, **options)["roi_null"], whole)


def test_the_result_itself_does_not_change_with_its_null():
    model = smooth_network(6, 2, seed=2)
    samples = toy_samples(100, 6, model)
    with_null, without = run(model, samples), run(model, samples, permutations=0)
    assert with_null.sizes["permutation"] == 199
    assert "roi_null" not in without
    np.testing.assert_array_equal(with_null["attribution"], without["attribution"])


def test_shuffled_responses_give_standard_normal_z_and_a_controlled_family():
    model = smooth_network(6, 2, seed=2)
    tables = []
    for seed in range(80):
        inputs, _ = toy_samples(100, 6, model, seed=seed)
        noise = np.random.default_rng([seed, 1]).normal(size=(100, 2))
        tables.append(roi_table(run(model, (inputs, noise), seed=seed, permutations=99, null_points=4)))
    for column in ("z", "z_null"):
        z = np.stack([table[column] for table in tables])
        np.testing.assert_allclose(z.std(), 1, atol=0.12)
        np.testing.assert_allclose(z.mean(), 0, atol=0.12)
        assert 0.02 < np.mean(np.abs(z) > 1.96) < 0.09
    family = sum(table[table["set"] == "parts"]["p_fwe"].min() <= 0.05 for table in tables)
    assert stats.binomtest(family, 80, 0.05).pvalue > 1e-3


def test_what_carries_information_is_found():
    model = smooth_network(6, 2, seed=2)
    table = roi_table(run(model, toy_samples(150, 6, model)))
    largest = table.loc[table["attribution"].abs().idxmax()]
    assert largest["p_null"] == largest["p_fwe"] == 1 / 200
    assert largest["z_null"] > 5


def test_dependence_inside_runs_is_kept_by_permuting_blocks():
    model = smooth_network(6, 1, seed=2)
    random = np.random.default_rng(0)
    spread = {"single": [], "blocks": []}
    for seed in range(12):
        slow = [np.repeat(random.normal(size=(24, k)), 5, axis=0) + 0.2 * random.normal(size=(120, k)) for k in (6, 1)]
        for name, options in (("single", {}), ("blocks", {"groups": RUNS, "exchange": BLOCKS})):
            result = run(model, tuple(slow), seed=seed, permutations=49, **options)
            spread[name].append(roi_table(result)["z_null"])
    # single samples are not exchangeable here: their null is far too narrow
    assert np.std(spread["single"]) > 1.5
    assert np.std(spread["blocks"]) < 1.35


def test_where_nothing_can_be_exchanged_no_null_is_made_unless_asked_for():
    model = smooth_network(6, 2)
    samples = toy_samples(50, 6, model)
    uneven = np.sort(np.arange(50) % 7)
    assert "roi_null" not in run(model, samples, groups=uneven)
    assert "roi_null" not in igc.attribute(model, samples, points=1, progress=False)
    with pytest.raises(DataError, match=r"groups of 7 to 8 samples.*exchange="):
        run(model, samples, groups=uneven, permutations=19)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"rois": None, "permutations": 99}, MethodError, "no ROI sets"),
        ({"permutations": 5}, MethodError, "at least 19"),
        ({"permutations": -1}, MethodError, "at least 19"),
        ({"permutations": 19, "null_points": 0}, MethodError, "positive"),
        ({"exchange": np.arange(49)}, ShapeError, "one label a sample"),
        ({"exchange": np.arange(50) // 5, "groups": np.arange(50) // 3}, DataError, "several groups"),
        ({"permutations": 10**9}, MethodError, "GiB"),
    ],
)
def test_an_impossible_null_is_refused_in_one_line(options, error, words):
    model = smooth_network(6, 3)
    with pytest.raises(error, match=words) as caught:
        run(model, toy_samples(50, 6, model), **options)
    assert isinstance(caught.value, IgcError)
    assert "\n" not in str(caught.value)
