"""Methods that follow from the terms, against what they promise."""

import numpy as np
import pytest
import torch

import igc
from igc.attribution.drawn import BaselinePool
from igc.attribution.gradients import Outputs
from igc.attribution.problem import Problem, group_blocks
from igc.attribution.standard.expected_gradients import ExpectedGradients
from igc.attribution.taylor import decompose
from igc.attribution.taylor.guided import InteractionAware, SegmentedTaylor, UnbiasedGradients, choose_segments
from igc.steps.sources import array_source
from igc.testing.probes import Quadratic, linear_model, smooth_network, toy_samples

LABELS = np.array([0, 1, 1, 2, 0, 2])
D, K = 6, 2


def problem_of(model, samples):
    source = array_source(samples, 0)[0]
    n = source.n_samples
    return Problem(Outputs(model), source, group_blocks(None, n), dtype=torch.float64)


def drawn_mean(method, problem, rows):
    inputs = problem.load(rows)[0]
    parts = [method.replicate(problem.outputs, inputs, rows, i) for i in range(method.replicates)]
    return torch.stack(parts).detach().numpy()


def test_interaction_aware_map_sums_over_a_region_to_what_the_region_does_alone():
    model = smooth_network(D, K, seed=1)
    problem = problem_of(model, toy_samples(40, D, model))
    baseline = (torch.zeros(1, D, dtype=torch.float64),)
    method = InteractionAware(BaselinePool(problem, baseline), LABELS, 400, 0, 256)
    rows = np.arange(5)
    replicates = drawn_mean(method, problem, rows) @ (LABELS[:, None] == np.arange(3)).astype(float)
    found = decompose(model, problem.load(rows)[0][0], np.zeros(D), LABELS, engine="sets")
    error = replicates.std(axis=0, ddof=1) / np.sqrt(len(replicates))
    assert (np.abs(replicates.mean(axis=0) - found.first - found.independent) < 4 * error + 1e-12).all()


def test_interaction_aware_map_of_a_quadratic_keeps_terms_inside_regions_and_drops_those_between():
    random = np.random.default_rng(0)
    matrices = random.normal(size=(1, D, D))
    model = Quadratic(np.zeros((1, D)), matrices + matrices.transpose(0, 2, 1))
    inputs, responses = toy_samples(200, D, model)
    found = igc.attribute(
        model, (inputs, responses), "interaction_aware", features=LABELS, baselines="zero", progress=False
    )
    A = model.matrices.detach().numpy()[0] * (LABELS[:, None] == LABELS)
    predictions = 0.5 * np.einsum("ni,ij,nj->n", inputs, model.matrices.detach().numpy()[0], inputs)
    alone = 0.5 * np.einsum("ni,ij,nj->ni", inputs, A, inputs) @ (LABELS[:, None] == np.arange(3)).astype(float)
    y = responses[:, 0] - responses.mean()
    expected = alone.T @ y / len(y) / (responses.std() * predictions.std())
    sums = [float(found["attribution"].values[0, k == LABELS].sum()) for k in range(3)]
    np.testing.assert_allclose(sums, expected, atol=1e-10)
    left = float(found["score"][0] - found["attribution"].sum())
    assert left == pytest.approx(0.5 * float(found["interaction"][0].sum()), abs=1e-10)


@pytest.mark.parametrize("segments", [1, 4])
def test_segments_are_exact_for_quadratics(segments):
    random = np.random.default_rng(1)
    matrices = random.normal(size=(K, D, D))
    model = Quadratic(random.normal(size=(K, D)), matrices + matrices.transpose(0, 2, 1))
    x = torch.as_tensor(random.normal(size=(3, D)))
    start = torch.as_tensor(random.normal(size=(1, D)))
    maps = SegmentedTaylor((start,), segments).attribute(Outputs(model), (x,), np.arange(3)).detach().numpy()
    found = decompose(model, x, start, engine="hessian")
    np.testing.assert_allclose(maps, found.first + found.independent + found.shared, atol=1e-10)


def test_error_of_segments_falls_with_the_square_of_their_number():
    model = smooth_network(D, 1, seed=3)
    x = torch.as_tensor(np.random.default_rng(2).normal(size=(8, D)))
    start = torch.zeros(1, D, dtype=torch.float64)
    change = (model(x) - model(start)).detach().numpy()
    gaps = []
    for segments in (16, 32, 64):
        maps = SegmentedTaylor((start,), segments).attribute(Outputs(model), (x,), np.arange(8))
        gaps.append(np.linalg.norm(maps.detach().numpy().sum(axis=2) - change))
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.1)
    assert gaps[1] / gaps[2] == pytest.approx(4, rel=0.03)


def test_number_of_segments_follows_from_what_they_leave():
    steep, flat = smooth_network(D, 1, seed=3), linear_model(np.ones((1, D)))
    zero = (torch.zeros(1, D, dtype=torch.float64),)
    with torch.no_grad():
        next(steep.parameters()).mul_(3)
    for model, least, most in ((flat, 1, 1), (steep, 2, 64)):
        problem = problem_of(model, toy_samples(50, D, model))
        assert least <= choose_segments(problem, zero, None) <= most
        assert choose_segments(problem, zero, 5.0) == 5


def test_unbiased_gradients_sum_to_the_output_minus_its_mean_with_less_noise_than_expected_gradients():
    model = smooth_network(D, 1, seed=4)
    with torch.no_grad():  # a control variate that is linear helps where models are not far from it
        next(model.parameters()).mul_(0.3)
    problem = problem_of(model, toy_samples(60, D, model))
    pool, rows = BaselinePool(problem), np.arange(10)
    plain = drawn_mean(ExpectedGradients(pool, 16, 0), problem, rows)
    better = drawn_mean(UnbiasedGradients(pool, problem, 16), problem, rows)
    assert better.std(axis=0).mean() < 0.6 * plain.std(axis=0).mean()
    many = drawn_mean(UnbiasedGradients(pool, problem, 600), problem, rows).sum(axis=-1)
    predictions = problem.predict(problem.load(np.arange(60))[0])
    wanted = predictions[rows] - predictions.mean(axis=0)
    assert (np.abs(many.mean(axis=0) - wanted) < 4 * many.std(axis=0, ddof=1) / np.sqrt(len(many))).all()


def test_unbiased_gradients_are_exact_for_linear_models_from_one_draw():
    weights = np.random.default_rng(5).normal(size=(1, D))
    model = linear_model(weights)
    inputs, responses = toy_samples(30, D, model)
    problem = problem_of(model, (inputs, responses))
    maps = drawn_mean(UnbiasedGradients(BaselinePool(problem), problem, 1), problem, np.arange(30))[0, :, 0]
    shown = problem.load(np.arange(30))[0][0].numpy()
    np.testing.assert_allclose(maps, weights * (shown - inputs.mean(axis=0)), atol=1e-12)


def test_input_that_equals_a_shared_baseline_is_hidden_by_it_and_not_by_the_data():
    model = linear_model(np.ones((1, 2)))
    inputs = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 0.0], [6.0, 2.0]])
    problem = problem_of(model, (inputs, inputs.sum(axis=1, keepdims=True)))
    rows = np.flatnonzero(problem.load(np.arange(4))[0][0][:, 0].numpy() == 0)
    zero = BaselinePool(problem, (torch.zeros(1, 2, dtype=torch.float64),))
    assert drawn_mean(ExpectedGradients(zero, 4, 0), problem, rows)[0, 0, 0, 0] == 0
    maps = drawn_mean(UnbiasedGradients(BaselinePool(problem), problem, 4), problem, rows)
    np.testing.assert_allclose(maps.mean(axis=0)[0, 0, 0], -3.0, atol=1e-12)
