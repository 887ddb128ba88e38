"""The three parts of IGC, each on its own, against closed forms and slow sums."""

import numpy as np
import pytest
import torch

import igc
from igc.attribution.taylor import decompose
from igc.testing.closed_forms import data_baseline_igc
from igc.testing.probes import Additive, Quadratic, linear_model, smooth_network, toy_samples

LABELS = np.array([0, 1, 1, 2, 0, 2])
D, K, R = 6, 2, 3


class Cubic(torch.nn.Module):
    """Two polynomials with terms of every class between three regions."""

    def forward(self, x):
        a, b, c, d, e, f = x.T
        first = 2 * a**2 * b + 0.5 * d**2 - a * c + c + 0.3 * a * b * f
        second = e**3 + 0.4 * b * c + 0.2 * b * c * d - f
        return torch.stack([first, second], dim=1)


def quadratic(seed=0):
    random = np.random.default_rng(seed)
    matrices = random.normal(size=(K, D, D))
    return Quadratic(random.normal(size=(K, D)), matrices + matrices.transpose(0, 2, 1))


def run(model, samples, **options):
    settings = {"method": "taylor_igc", "features": LABELS, "progress": False, "rois": {"parts": LABELS + 1}}
    return igc.attribute(model, samples, **(settings | options))


def region_sums(values):
    """Sum a map over the regions of LABELS."""
    return values @ (np.arange(R)[:, None] == LABELS).T.astype(float)


def slow_parts(model, inputs, responses):
    """Return the parts by their definition: terms of every sample against every other, (target, part, region)."""
    n = len(inputs)
    found = decompose(
        model,
        np.repeat(inputs, n, axis=0),
        np.tile(inputs, (n, 1)),
        LABELS,
        engine="path",
        pairs=False,
        batch_size=4096,
    )
    parts = np.stack([found.first, found.independent, found.shared], axis=2)
    effects = parts.reshape(n, n, *parts.shape[1:]).mean(axis=1)
    with torch.no_grad():
        predictions = model(torch.as_tensor(inputs)).numpy()
    centred = responses - responses.mean(axis=0)
    scale = responses.std(axis=0) * predictions.std(axis=0)
    return np.einsum("nk,nkpr->kpr", centred, effects) / len(inputs) / scale[:, None, None]


@pytest.mark.parametrize("model", [Cubic(), quadratic()], ids=["cubic", "quadratic"])
def test_parts_of_polynomials_are_those_of_their_definition_and_sum_to_igc(model):
    inputs, responses = toy_samples(12, D, model)
    found = run(model, (inputs, responses), baselines=inputs)
    np.testing.assert_allclose(found["part_attribution"], slow_parts(model, inputs, responses), atol=1e-8)
    expected = region_sums(data_baseline_igc(model, inputs, responses))
    np.testing.assert_allclose(found["part_attribution"].sum("part"), expected, atol=1e-8)
    assert np.abs(found["completeness_error"]).max() < 1e-8
    assert float(found["part_attribution_estimator_error"].max()) == 0


def test_drawn_parts_are_those_of_the_definition_within_their_errors():
    model = smooth_network(D, K, seed=2)
    inputs, responses = toy_samples(60, D, model)
    truth = slow_parts(model, inputs, responses)
    found = run(model, (inputs, responses), points=32)
    error = found["part_attribution_estimator_error"].values
    assert (error[:, 1:] > 0).all()
    z = (found["part_attribution"].values - truth)[:, 1:] / error[:, 1:]
    assert np.abs(z).max() < 4
    assert 0.4 < np.sqrt((z**2).mean()) < 1.6
    np.testing.assert_allclose(found["part_attribution"][:, 0], truth[:, 0], atol=1e-10)


def test_parts_sum_to_an_igc_of_other_draws_within_three_joint_errors():
    model = smooth_network(D, K, seed=2)
    samples = toy_samples(300, D, model)
    found = run(model, samples)
    whole = igc.attribute(model, samples, "igc", rois={"parts": LABELS + 1}, points=32, seed=7, progress=False)
    joint = np.hypot(found["roi_estimator_error"], whole["roi_estimator_error"])
    difference = np.abs(found["roi_attribution"] - whole["roi_attribution"])
    assert (difference <= 3 * joint + 1e-12).all()


def test_first_order_part_is_the_mean_gradient_times_the_covariance():
    model = quadratic(3)
    inputs, responses = toy_samples(80, D, model)
    found = run(model, (inputs, responses), points=2)
    A, b = model.matrices.detach().numpy(), model.linear.detach().numpy()
    gradient = b + A @ inputs.mean(axis=0)
    with torch.no_grad():
        predictions = model(torch.as_tensor(inputs)).numpy()
    covariance = (responses - responses.mean(axis=0)).T @ inputs / len(inputs)
    expected = gradient * covariance / (responses.std(axis=0) * predictions.std(axis=0))[:, None]
    np.testing.assert_allclose(found["first"], expected, atol=1e-10)


def test_model_without_cross_terms_has_no_interactive_part():
    model = Additive(np.random.default_rng(0).normal(size=(K, D)))
    found = run(model, toy_samples(120, D, model), points=4)
    assert np.abs(found["part_attribution"].sel(part="interactive")).max() < 1e-10
    assert np.abs(found["interaction"]).max() < 1e-10
    assert np.abs(found["interaction_total"]).max() < 1e-10
    assert np.abs(found["part_attribution"].sel(part="independent")).max() > 1e-3


def test_linear_model_has_a_first_order_part_alone_from_a_single_draw():
    model = linear_model(np.random.default_rng(1).normal(size=(K, D)))
    samples = toy_samples(50, D, model)
    found = run(model, samples, points=1)
    linear = igc.attribute(model, samples, "linear_igc", progress=False)
    np.testing.assert_allclose(found["attribution"], linear["attribution"], atol=1e-10)
    assert np.abs(found["part_attribution"][:, 1:]).max() < 1e-10


def test_parts_sum_to_the_map_and_the_map_to_the_score():
    model = smooth_network(D, K, seed=5)
    found = run(model, toy_samples(100, D, model), points=3)
    np.testing.assert_allclose(found["attribution"].sum("voxel"), found["score"], atol=1e-12)
    parts = found["first"] + found["independent"] + found["interactive"]
    np.testing.assert_allclose(parts, found["attribution"], atol=1e-12)
    summed = found["part_attribution"].sum("part")
    np.testing.assert_allclose(found["roi_attribution"].values[:, :R], summed, atol=1e-12)
    assert (np.abs(found["completeness_error"]) < 4 * found["completeness_standard_error"]).all()


def test_matrix_holds_the_covariance_of_pair_effects_with_the_response():
    model = quadratic(4)
    inputs, responses = toy_samples(25, D, model)
    found = run(model, (inputs, responses), baselines=inputs)
    delta = inputs[:, None] - inputs[None]
    members = (np.arange(R)[:, None] == LABELS).astype(float)
    A = model.matrices.detach().numpy()
    effects = np.einsum("kij,nmi,nmj,ri,sj->nkrs", A, delta, delta, members, members) / len(inputs)
    effects *= 1 - np.eye(R)
    with torch.no_grad():
        predictions = model(torch.as_tensor(inputs)).numpy()
    centred = (responses - responses.mean(axis=0)) / (responses.std(axis=0) * predictions.std(axis=0)) / len(inputs)
    expected = np.einsum("nk,nkrs->krs", centred, effects)
    np.testing.assert_allclose(found["interaction"], expected, atol=1e-8)
    np.testing.assert_allclose(found["interaction_total"], expected.sum(axis=-1), atol=1e-8)
    # Integrated Gradients shares what two regions do together half and half
    half = 0.5 * expected.sum(axis=-1)
    np.testing.assert_allclose(found["part_attribution"].sel(part="interactive"), half, atol=1e-8)


def _without_link(model, seed, n=400):
    """Return samples in which region 1 goes with neither the others nor the response, which is held fixed."""
    inputs, _ = toy_samples(n, D, model, seed=seed)
    with torch.no_grad():
        others = np.where(LABELS == 1, 0.0, inputs)
        responses = model(torch.as_tensor(others)).numpy()
    order = np.random.default_rng(seed).permutation(n)
    return np.where(LABELS == 1, inputs[order], inputs), responses


@pytest.mark.parametrize("model", [quadratic(6), smooth_network(D, K, seed=6)], ids=["quadratic", "network"])
def test_region_without_a_link_to_others_and_response_has_no_interactive_part(model):
    kept = []
    for seed in range(4):
        found = run(model, _without_link(model, seed), points=8, seed=seed)
        for name, others in (("interaction_total", {}), ("interaction", {"other_region": [0, 2]})):
            chosen = {"region": 1, **others}
            error = np.hypot(found[f"{name}_standard_error"], found[f"{name}_estimator_error"])
            kept.append((found[name].sel(chosen) / error.sel(chosen)).values.ravel())
    z = np.concatenate(kept)
    assert (np.abs(z) < 2).mean() > 0.9
    assert np.abs(z).max() < 4


def test_interaction_shows_where_regions_need_each_other_only():
    """y = x0 x1 + x3: the regions of x0 and x1 interact, that of x3 stands alone."""

    def model(x):
        return (x[:, 0] * x[:, 1] + x[:, 3])[:, None]

    inputs = np.random.default_rng(0).normal(size=(400, D))
    responses = model(torch.as_tensor(inputs)).numpy()
    found = run(model, (inputs, responses), points=4)
    matrix, error = found["interaction"].values[0], found["interaction_standard_error"].values[0]
    assert matrix[0, 1] > 10 * error[0, 1]
    assert abs(matrix[0, 2]) < 1e-10
    assert abs(matrix[1, 2]) < 1e-10
    np.testing.assert_allclose(matrix, matrix.T)


def test_result_does_not_depend_on_blocks_and_batches():
    model = smooth_network(D, K)
    inputs, responses = toy_samples(90, D, model)
    whole = run(model, (inputs, responses), points=2, block_size=1000)
    cut = run(model, (inputs, responses), points=2, block_size=17, batch_size=5)
    np.testing.assert_allclose(cut["part_attribution"], whole["part_attribution"], atol=1e-10)
    np.testing.assert_allclose(cut["interaction_standard_error"], whole["interaction_standard_error"], atol=1e-9)


def test_sampling_errors_of_the_parts_match_fresh_datasets():
    model = smooth_network(D, 1, seed=8)
    values, errors = [], []
    for seed in range(24):
        found = run(model, toy_samples(80, D, model, seed=seed), points=6, seed=seed, matrix=False)
        values.append(found["part_attribution"].values)
        errors.append(np.hypot(found["part_attribution_standard_error"], found["part_attribution_estimator_error"]))
    ratio = np.sqrt(np.mean(np.square(errors), axis=0)) / np.std(values, axis=0, ddof=1)
    assert 0.6 < np.median(ratio) < 1.6


def test_sizes_of_effects_are_their_means_over_samples():
    """x0 x3 + x1^2 with baseline zero: nothing of first order, a known share alone and a known share together."""

    def model(x):
        return (x[:, 0] * x[:, 3] + x[:, 1] ** 2)[:, None]

    inputs = np.random.default_rng(0).normal(size=(40, D))
    inputs[::4, 1] = 0.0
    responses = model(torch.as_tensor(inputs)).numpy()
    found = run(model, (inputs, responses), baselines="zero", points=2)["effect_size"]
    together, alone = np.abs(inputs[:, 0] * inputs[:, 3]), inputs[:, 1] ** 2
    change = np.abs(responses[:, 0]).mean()
    assert float(found.sel(size="first")[0]) == 0
    assert float(found.sel(size="independent")[0]) == pytest.approx(alone.mean() / change)
    assert float(found.sel(size="interactive")[0]) == pytest.approx(together.mean() / change)
    # the slope at the input counts every term of second order twice
    assert float(found.sel(size="first_order_error")[0]) == pytest.approx(1.0)
    # of the inputs that are zero, only x1 is ever, and there its slope is zero, too
    assert float(found.sel(size="hidden_zero")[0]) == 0


def test_importance_of_inputs_that_are_zero_is_their_share():
    inputs = np.random.default_rng(1).normal(size=(50, 2))
    inputs[:25, 0] = 0.0
    model = linear_model(np.array([[1.0, 1.0]]))
    found = igc.attribute(model, (inputs, inputs.sum(axis=1, keepdims=True)), "taylor_igc", points=1, progress=False)[
        "effect_size"
    ]
    deviation = inputs.std(axis=0)
    assert float(found.sel(size="hidden_zero")[0]) == pytest.approx(0.5 * deviation[0] / deviation.sum())


def test_sharing_by_degree_hands_a_region_without_a_link_what_only_the_sum_of_both_cancels():
    """x0^2 x1 with x0 apart from everything: 1/3 and -1/3 of var(x0) cov(x1, y) to the two, nothing to the pair."""

    def model(x):
        return (x[:, 0] ** 2 * x[:, 1])[:, None]

    random = np.random.default_rng(0)
    inputs = random.normal([0.0, 1.0], size=(600, 2))
    responses = inputs[:, 1:]
    found = igc.attribute(model, (inputs, responses), "taylor_igc", points=8, progress=False)
    scale = 1 / (responses.std() * model(torch.as_tensor(inputs)).numpy().std())
    expected = inputs[:, 0].var() * responses.var() * scale / 3 * np.array([1, -1])
    part = found.sel(part="interactive")
    error = np.hypot(part["part_attribution_standard_error"], part["part_attribution_estimator_error"]).values[0]
    assert (np.abs(part["part_attribution"].values[0] - expected) < 4 * error).all()
    assert (np.abs(expected) > 4 * error).all()
    pair = found["interaction"].values[0, 0, 1]
    pair_error = np.hypot(found["interaction_standard_error"], found["interaction_estimator_error"]).values[0, 0, 1]
    assert abs(pair) < 3 * pair_error


@pytest.mark.parametrize(("layer", "kinks"), [(torch.nn.ReLU(), "Relu"), (torch.nn.Tanh(), "none")])
def test_parts_of_networks_with_kinks_sum_to_the_score_and_say_so(layer, kinks):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(D, 8), layer, torch.nn.Linear(8, K)).double()
    found = run(model, toy_samples(200, D, model), points=8)
    assert found.attrs["kinks"] == kinks
    np.testing.assert_allclose(found["part_attribution"].sum(["part", "region"]), found["score"], atol=1e-12)
    assert (np.abs(found["completeness_error"]) < 4 * found["completeness_standard_error"]).all()
