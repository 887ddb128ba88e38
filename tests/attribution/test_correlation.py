"""Integrated Gradient Correlation against its definition, closed forms and captum."""

import captum.attr
import numpy as np
import pytest
import torch

import igc
from igc.attribution.closure import close, closing_shares
from igc.attribution.correlation import pairs
from igc.errors import DataError, MethodError, ShapeError
from igc.testing.closed_forms import data_baseline_igc, linear_igc, shared_baseline_igc
from igc.testing.probes import Quadratic, linear_model, smooth_network, toy_samples

WEIGHTS = np.random.default_rng(1).normal(size=(3, 6))


def run(model, samples, **options):
    return igc.attribute(model, samples, progress=False, **options)


@pytest.mark.parametrize("baselines", ["data", "zero", "mean", 5])
@pytest.mark.parametrize("points", [0.2, 3, None])
def test_linear_models_are_exact_for_every_baseline(baselines, points):
    model = linear_model(WEIGHTS, [1.0, -2.0, 0.5])
    inputs, responses = toy_samples(400, 6, model)
    result = run(model, (inputs, responses), baselines=baselines, points=points)
    np.testing.assert_allclose(result["attribution"], linear_igc(WEIGHTS, inputs, responses), rtol=0, atol=1e-10)
    assert float(np.abs(result["completeness_error"]).max()) < 1e-10


def test_the_data_baseline_converges_to_the_definition_over_all_pairs():
    model = smooth_network(5, 2, seed=2)
    inputs, responses = toy_samples(60, 5, model)
    expected = data_baseline_igc(model, inputs, responses)
    result = run(model, (inputs, responses), points=600)
    z = (result["attribution"] - expected) / result["estimator_error"]
    assert float(np.abs(z).max()) < 4
    assert float(np.linalg.norm(result["attribution"] - expected) / np.linalg.norm(expected)) < 0.03


def test_the_estimator_has_no_bias_and_honest_errors_over_seeds():
    model = smooth_network(5, 2, seed=2)
    inputs, responses = toy_samples(80, 5, model)
    expected = data_baseline_igc(model, inputs, responses)
    results = [run(model, (inputs, responses), points=8, seed=seed) for seed in range(60)]
    errors = np.stack([r["attribution"].values - expected for r in results])
    claimed = np.stack([r["estimator_error"].values for r in results])
    z_of_mean = errors.mean(axis=0) / (errors.std(axis=0, ddof=1) / np.sqrt(60))
    assert np.abs(z_of_mean).max() < 4
    assert 0.85 < np.sqrt((errors**2).mean() / (claimed**2).mean()) < 1.15


@pytest.mark.parametrize("baselines", ["zero", "mean", 4])
def test_shared_baselines_equal_the_definition(baselines):
    model = smooth_network(5, 2, seed=4)
    inputs, responses = toy_samples(70, 5, model)
    result = run(model, (inputs, responses), baselines=baselines)
    drawn = {"zero": np.zeros((1, 5)), "mean": inputs.mean(axis=0, keepdims=True)}
    if baselines == 4:
        order = igc.seeding.generator(0, "order").permutation(70)
        rows = np.sort(igc.seeding.generator(0, "baselines").choice(70, 4, replace=False))
        drawn[4] = inputs[order[rows]]
    expected = shared_baseline_igc(model, inputs, responses, drawn[baselines])
    np.testing.assert_allclose(result["attribution"], expected, rtol=0, atol=1e-6)


def test_a_quadratic_model_needs_two_nodes():
    random = np.random.default_rng(0)
    matrices = random.normal(size=(2, 4, 4))
    model = Quadratic(random.normal(size=(2, 4)), matrices + matrices.transpose(0, 2, 1))
    inputs, responses = toy_samples(90, 4, model)
    two = run(model, (inputs, responses), baselines="zero", points=2)
    expected = shared_baseline_igc(model, inputs, responses, np.zeros((1, 4)), nodes=5)
    np.testing.assert_allclose(two["attribution"], expected, rtol=0, atol=1e-10)


def test_integrated_gradients_equal_captum():
    model = smooth_network(6, 3, seed=5)
    inputs, responses = toy_samples(50, 6, model)
    result = run(model, (inputs, responses), method="integrated_gradients", baselines="zero", summary="mean")
    oracle = captum.attr.IntegratedGradients(model)
    tensor = torch.as_tensor(inputs)
    for k in range(3):
        maps = oracle.attribute(tensor, target=k, n_steps=64, method="gausslegendre").detach().numpy()
        np.testing.assert_allclose(result["attribution"][k], maps.mean(axis=0), rtol=0, atol=1e-6)
        np.testing.assert_allclose(result["standard_deviation"][k], maps.std(axis=0), rtol=0, atol=1e-6)
        np.testing.assert_allclose(result["mean_absolute"][k], np.abs(maps).mean(axis=0), rtol=0, atol=1e-6)


def test_gradient_times_input_equals_captum():
    model = smooth_network(6, 3, seed=5)
    inputs, responses = toy_samples(50, 6, model)
    result = run(model, (inputs, responses), method="gradient_x_input")
    for k in range(3):
        maps = captum.attr.InputXGradient(model).attribute(torch.as_tensor(inputs).requires_grad_(), target=k)
        np.testing.assert_allclose(result["attribution"][k], maps.detach().mean(dim=0), rtol=0, atol=1e-12)


def test_naive_correlation_is_the_correlation_whatever_the_scale():
    inputs, responses = toy_samples(80, 6, linear_model(WEIGHTS))
    inputs = inputs * np.array([1, 0.5, 20, 1e3, 1e-3, 1]) + 1e4
    result = run(linear_model(WEIGHTS), (inputs, responses), method="naive_correlation")
    expected = np.corrcoef(responses.T, inputs.T)[:3, 3:]
    np.testing.assert_allclose(result["attribution"], expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("output", ["raw", "probability", "log_probability"])
def test_two_products_a_point_give_the_map_of_all_products(monkeypatch, output):
    model = smooth_network(6, 5, seed=3)
    inputs, scores = toy_samples(300, 6, model)
    one_hot = np.eye(5)[scores.argmax(axis=1)]
    sparse = run(model, (inputs, one_hot), points=2, output=output)
    monkeypatch.setattr(pairs, "one_hot", lambda responses: False)
    dense = run(model, (inputs, one_hot), points=2, output=output)
    for name in ("attribution", "estimator_error", "standard_error", "completeness_error"):
        np.testing.assert_allclose(sparse[name], dense[name], rtol=0, atol=1e-12)
    assert sparse.attrs["evaluations"] < dense.attrs["evaluations"]


class _WrongGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (1 + ctx.saved_tensors[0])


@pytest.mark.parametrize("baselines", ["data", "mean"])
def test_a_wrong_gradient_shows_in_the_gap_before_closure(baselines):
    right = smooth_network(5, 2, seed=2)
    inputs, responses = toy_samples(400, 5, right)

    def wrong(x):
        return right(_WrongGradient.apply(x))

    gaps = {}
    for name, model in (("right", right), ("wrong", wrong)):
        result = run(model, (inputs, responses), baselines=baselines, points=64 if baselines == "data" else None)
        allowed = 4 * result["completeness_standard_error"] + (0 if baselines == "data" else 1e-3)
        gaps[name] = bool((np.abs(result["completeness_error"]) <= allowed).all())
        np.testing.assert_allclose(result["attribution"].sum("voxel"), result["score"], rtol=0, atol=1e-12)
    assert gaps == {"right": True, "wrong": False}


def test_the_map_does_not_change_with_affine_changes_of_outputs_and_responses():
    model = smooth_network(5, 2, seed=2)
    inputs, responses = toy_samples(100, 5, model)
    first = run(model, (inputs, responses), points=2)
    second = run(lambda x: 7 * model(x) - 3, (inputs, 0.01 * responses + 50), points=2)
    np.testing.assert_allclose(second["attribution"], first["attribution"], rtol=0, atol=1e-10)


def test_a_constant_response_gives_no_number_and_spares_the_others():
    model = smooth_network(5, 2, seed=2)
    inputs, responses = toy_samples(100, 5, model)
    responses[:, 0] = 3.0
    result = run(model, (inputs, responses), points=2)
    assert np.isnan(result["score"][0])
    assert np.isnan(result["attribution"][0]).all()
    assert np.isfinite(result["attribution"][1]).all()


def test_two_inputs_are_explained_together():
    model = smooth_network(7, 2, seed=2)
    inputs, responses = toy_samples(90, 7, model)

    def joined(a, b):
        return model(torch.cat([a, b.flatten(1)], dim=1))

    whole = run(model, (inputs, responses), baselines="mean")
    split = run(joined, ((inputs[:, :3], inputs[:, 3:].reshape(-1, 2, 2)), responses), baselines="mean")
    np.testing.assert_allclose(split["attribution_0"], whole["attribution"][:, :3], atol=1e-12)
    np.testing.assert_allclose(split["attribution_1"].values.reshape(2, 4), whole["attribution"][:, 3:], atol=1e-12)


def test_stopping_by_tolerance_reaches_it():
    model = smooth_network(5, 2, seed=2)
    inputs, responses = toy_samples(300, 5, model)
    expected = run(model, (inputs, responses), points=400, seed=9)["attribution"]
    for tolerance in (0.1, 0.03):
        result = run(model, (inputs, responses), tolerance=tolerance)
        assert np.linalg.norm(result["estimator_error"]) <= tolerance * np.linalg.norm(result["attribution"])
        assert np.linalg.norm(result["attribution"] - expected) <= 2.5 * tolerance * np.linalg.norm(expected)


def test_by_default_the_estimator_adds_little_to_the_sampling_error():
    model = smooth_network(5, 2, seed=2)
    inputs, responses = toy_samples(300, 5, model)
    result = run(model, (inputs, responses))
    assert np.linalg.norm(result["estimator_error"]) <= np.linalg.norm(result["standard_error"]) / 3


def test_sampling_errors_match_the_spread_over_fresh_datasets():
    model = smooth_network(4, 1, seed=2)
    results = [run(model, toy_samples(200, 4, model, seed=seed), points=16) for seed in range(60)]
    spread = np.stack([r["attribution"].values for r in results]).std(axis=0, ddof=1)
    claimed = np.sqrt(
        np.mean([r["standard_error"].values ** 2 + r["estimator_error"].values ** 2 for r in results], axis=0)
    )
    np.testing.assert_allclose(np.linalg.norm(claimed), np.linalg.norm(spread), rtol=0.2)


def test_sampling_errors_grow_when_samples_come_in_copies():
    model = smooth_network(4, 1, seed=2)
    inputs, responses = toy_samples(100, 4, model)
    groups = np.repeat(np.arange(100), 4)
    copies = (np.repeat(inputs, 4, axis=0), np.repeat(responses, 4, axis=0))
    honest = run(model, copies, points=64, groups=groups)["standard_error"]
    single = run(model, (inputs, responses), points=64)["standard_error"]
    naive = run(model, copies, points=64)["standard_error"]
    np.testing.assert_allclose(np.linalg.norm(honest), np.linalg.norm(single), rtol=0.25)
    assert np.linalg.norm(naive) < 0.7 * np.linalg.norm(honest)


def test_linear_closed_form_equals_the_estimator_and_refuses_other_models():
    model = linear_model(WEIGHTS)
    samples = toy_samples(100, 6, model)
    np.testing.assert_allclose(
        run(model, samples, method="linear_igc")["attribution"], run(model, samples)["attribution"], atol=1e-12
    )
    with pytest.raises(MethodError, match="linear model"):
        run(smooth_network(6, 3), samples, method="linear_igc")


def test_pooling_sums_squares_of_pixels():
    def model(x):
        return x.flatten(1) @ torch.arange(32.0, dtype=torch.float64).reshape(16, 2)

    random = np.random.default_rng(0)
    inputs, responses = random.normal(size=(80, 1, 4, 4)), random.normal(size=(80, 2))
    fine = run(model, (inputs, responses))["attribution"].values
    coarse = run(model, (inputs, responses), pool=2)["attribution"].values
    np.testing.assert_allclose(coarse[:, :, 1, 0], fine[:, :, 2:, :2].sum(axis=(2, 3)), atol=1e-12)
    with pytest.raises(MethodError, match="divisor"):
        run(model, (inputs, responses), pool=3)


def test_closing_takes_up_the_gap_where_it_varies_and_sums_to_the_score():
    covariance = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    shares = closing_shares(covariance, np.array([[1.0, 1.0, 1.0], [0.0, 3.0, 1.0]]))
    np.testing.assert_allclose(shares, [[2 / 3, 1 / 3, 0], [0, 0.75, 0.25]])
    closed = close(np.ones((2, 3)), shares, np.array([0.0, 1.0]))
    np.testing.assert_allclose(closed.sum(axis=1), [0, 1])
    assert closed[0, 2] == 1


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"method": "icg"}, MethodError, "did you mean 'igc'"),
        ({"baselines": "median"}, MethodError, "'median'"),
        ({"baselines": 1000}, MethodError, "1 to 50"),
        ({"baselines": np.zeros(4)}, ShapeError, r"\(4,\)"),
        ({"points": -1}, MethodError, "positive"),
        ({"points": 1, "tolerance": 0.1}, MethodError, "one of them"),
        ({"output": "logit"}, MethodError, "'logit'"),
        ({"targets": [7]}, (MethodError, IndexError), "7"),
        ({"groups": [1, 2]}, ShapeError, "one label a sample"),
        ({"device": "quantum"}, MethodError, "quantum"),
        ({"depth": 3}, MethodError, "depth"),
        ({"method": "gradient_x_input", "summary": "median"}, MethodError, "median"),
    ],
)
def test_wrong_arguments_end_in_one_clear_line(options, error, words):
    model = smooth_network(6, 3)
    with pytest.raises(error, match=words):
        run(model, toy_samples(50, 6, model), **options)


def test_two_samples_are_too_few_for_pairs():
    model = smooth_network(6, 3)
    with pytest.raises(DataError, match="at least 3"):
        run(model, toy_samples(2, 6, model))


def test_a_batch_that_does_not_fit_is_halved_until_it_does(tmp_path, caplog):
    model = smooth_network(5, 2, seed=2)
    samples = toy_samples(300, 5, model)
    largest = []

    def small(x):
        largest.append(len(x))
        if len(x) > 40:
            raise torch.OutOfMemoryError
        return model(x)

    halved = run(small, samples, points=2, checkpoint=tmp_path)
    np.testing.assert_array_equal(halved["attribution"], run(model, samples, points=2, batch_size=32)["attribution"])
    assert "batch size of 32" in caplog.text
    largest.clear()
    run(small, samples, points=2, checkpoint=tmp_path)
    assert max(largest) <= 40


def test_a_device_without_room_for_one_sample_is_named():
    def full(x):
        if len(x) > 0 and x.requires_grad:
            raise torch.OutOfMemoryError
        return x[:, :2]

    with pytest.raises(MethodError, match="another device"):
        run(full, toy_samples(50, 5, smooth_network(5, 2)), points=2)


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("resolved", [False, True])
def test_latents_of_a_linear_readout_give_the_sums_of_all_outputs(one_hot, resolved):
    from igc.attribution.correlation.design import PairDesign
    from igc.attribution.gradients import Outputs
    from igc.attribution.problem import Problem, group_blocks
    from igc.steps.sources import ArraySource

    model = smooth_network(6, 12, seed=3)
    inputs, scores = toy_samples(90, 6, model)
    responses = np.eye(12)[scores.argmax(axis=1)][:, [4, 1, 9]] if one_hot else scores[:, [4, 1, 9]]
    source = ArraySource((inputs,), responses, np.arange(90))
    groups = group_blocks(np.arange(90) // 9, 90)
    problem = Problem(Outputs(model, targets=(4, 1, 9)), source, groups, dtype=torch.float64, batch_size=32)
    keep = "all" if resolved else "none"
    design = PairDesign(tuple(problem.block_bounds()), 0, 0, 1)
    pilot = np.random.default_rng(0).normal(size=(16, 6))
    weight = model[2].weight.detach().numpy()[[4, 1, 9]]
    by_latents = pairs.pair_unit(problem, design, pilot, keep, 0, side=pairs.Side(latents=True))
    by_outputs = pairs.pair_unit(problem, design, weight @ pilot, keep, 0)
    # without groups the covariance that closes the map is taken of some pairs only
    left_out = {"evaluations"} if resolved else {"evaluations", "within.scalar_map"}
    for name, value in by_outputs.to_arrays().items():
        if name not in left_out:
            np.testing.assert_allclose(by_latents.to_arrays()[name], value, rtol=1e-10, atol=1e-12)


def test_the_side_of_latents_estimates_the_same_map():
    model = smooth_network(6, 12, seed=3)
    samples = toy_samples(200, 6, model)
    first, second = (run(model, samples, points=32, side=side) for side in ("outputs", "latents"))
    error = np.hypot(first["estimator_error"], second["estimator_error"])
    assert float((np.abs(first["attribution"] - second["attribution"]) / error).max()) < 4


def test_a_readout_is_found_where_there_is_one():
    from igc.attribution.gradients import Outputs
    from igc.attribution.readout import find_readout

    model = smooth_network(6, 12)
    inputs = (torch.zeros(2, 6, dtype=torch.float64),)
    found = find_readout(Outputs(model), inputs)
    assert found is not None
    assert found.layer is model[2]
    expected = torch.tanh(model[0](inputs[0]))
    torch.testing.assert_close(found.latents(inputs), expected)
    assert find_readout(Outputs(model, "probability"), inputs) is None
    assert find_readout(Outputs(lambda x: model(x)), inputs) is None
    assert find_readout(Outputs(torch.nn.Sequential(model, torch.nn.Tanh())), inputs) is None


def test_many_targets_of_few_latents_take_the_side_of_the_latents():
    from igc.attribution.correlation.sides import choose_side
    from igc.attribution.gradients import Outputs
    from igc.attribution.problem import Problem, group_blocks
    from igc.steps.sources import ArraySource

    model = torch.nn.Sequential(
        torch.nn.Linear(6, 300), torch.nn.Tanh(), torch.nn.Linear(300, 4), torch.nn.Linear(4, 400)
    )
    source = ArraySource(
        (np.zeros((100, 6), np.float32),), np.random.default_rng(0).normal(size=(100, 400)), np.arange(100)
    )
    problem = Problem(Outputs(model), source, group_blocks(None, 100))
    assert choose_side(problem, "auto") == "latents"
    assert choose_side(problem, "outputs") == "outputs"
    assert choose_side(problem, "auto", kept="outputs") == "outputs"
    with pytest.raises(MethodError, match="auto, outputs, latents"):
        choose_side(problem, "inputs")


def test_forcing_the_side_of_latents_needs_a_linear_readout():
    model = smooth_network(6, 3)
    with pytest.raises(MethodError, match="linear layer"):
        run(model, toy_samples(50, 6, model), side="latents", output="probability")


@pytest.mark.parametrize("method", ["igc", "integrated_gradients"])
def test_samples_that_are_read_in_stripes_give_the_same_map(monkeypatch, method):
    model = smooth_network(6, 3)
    samples = toy_samples(300, 6, model)
    options = {"method": method, "points": 2, "batch_size": 32, "groups": np.arange(300) // 30}
    whole = run(model, samples, **options)
    monkeypatch.setattr("igc.attribution.problem.STRIPE_BYTES", 1)
    stripes = run(model, samples, **options)
    for name in ("attribution", "standard_error", "score"):
        np.testing.assert_allclose(stripes[name], whole[name], rtol=1e-10, atol=1e-12)
