"""The terms between baseline and input, against closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from igc.attribution.gradients import Outputs
from igc.attribution.taylor import decompose
from igc.attribution.taylor.smoothness import find_kinks
from igc.errors import MethodError, ShapeError
from igc.testing.probes import Additive, Quadratic, linear_model, smooth_network

ENGINES = ("hessian", "path", "sets")


def cubic(x):
    a, b, c = x.T
    return (2 * a**2 * b + 0.5 * b**2 - a * c + c)[:, None]


POINT = np.array([[1.2, -0.7, 0.5]])


def random_quadratic(seed, d=5, targets=2):
    random = np.random.default_rng(seed)
    matrices = random.normal(size=(targets, d, d))
    return Quadratic(random.normal(size=(targets, d)), matrices + matrices.transpose(0, 2, 1)), random


@pytest.mark.parametrize("engine", ["auto", "path", "sets"])
def test_cubic_has_the_terms_worked_out_by_hand(engine):
    a, b, c = POINT[0]
    found = decompose(cubic, POINT, np.zeros(3), engine=engine)
    np.testing.assert_allclose(found.first[0, 0], [0, 0, c], atol=1e-12)
    np.testing.assert_allclose(found.independent[0, 0], [0, 0.5 * b**2, 0], atol=1e-12)
    np.testing.assert_allclose(found.interactive[0, 0], [2 * a**2 * b - a * c, 2 * a**2 * b, -a * c], atol=1e-12)
    np.testing.assert_allclose(found.pairs[0, 0][0], [0, 2 * a**2 * b, -a * c], atol=1e-12)
    assert abs(found.error[0, 0]) < 1e-12


def test_path_shares_the_cubic_as_integrated_gradients_does_order_by_order():
    a, b = POINT[0, :2]
    found = decompose(cubic, POINT, np.zeros(3))
    assert (found.engine, found.by_order.shape[-1]) == ("path", 9)
    given_out = found.first + found.independent + found.shared
    np.testing.assert_allclose(given_out[0, 0], [-1.644, -0.427, 0.2], atol=1e-8)
    np.testing.assert_allclose(found.by_order.sum(axis=-1), given_out, atol=1e-8)
    third = found.by_order[0, 0, :, 2]  # 2 a^2 b: two thirds to a, one third to b
    np.testing.assert_allclose(third, [4 / 3 * a**2 * b, 2 / 3 * a**2 * b, 0], atol=1e-8)
    np.testing.assert_allclose(found.by_order[0, 0, :, 3:], 0, atol=1e-8)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rois", [None, np.array([0, 1, 1, 0, 2])])
def test_quadratic_has_its_matrix_as_pairs_and_shares_them_half_and_half(engine, rois):
    model, random = random_quadratic(0)
    x, x0 = random.normal(size=(4, 5)), random.normal(size=(4, 5))
    found = decompose(model, x, x0, rois, engine=engine)
    labels = np.arange(5) if rois is None else rois
    members = (labels == np.arange(labels.max() + 1)[:, None]).astype(float)
    A, b = model.matrices.detach().numpy(), model.linear.detach().numpy()
    delta = x - x0
    terms = np.einsum("kij,ni,nj,ri,sj->nkrs", A, delta, delta, members, members)
    slope = b + np.einsum("kij,nj->nki", A, x0)
    np.testing.assert_allclose(found.first, np.einsum("nki,ni,ri->nkr", slope, delta, members), atol=1e-8)
    np.testing.assert_allclose(found.independent, 0.5 * np.einsum("nkrr->nkr", terms), atol=1e-8)
    off = terms * (1 - np.eye(len(members)))
    np.testing.assert_allclose(found.pairs, off, atol=1e-8)
    np.testing.assert_allclose(found.interactive, off.sum(axis=-1), atol=1e-8)
    np.testing.assert_allclose(found.interactive_total, 0.5 * off.sum(axis=(-1, -2)), atol=1e-8)
    if found.shared is not None:
        np.testing.assert_allclose(found.shared, 0.5 * off.sum(axis=-1), atol=1e-8)
    assert np.abs(found.error).max() < 1e-8


@pytest.mark.parametrize("engine", ENGINES)
def test_additive_model_has_no_interaction(engine):
    random = np.random.default_rng(1)
    model, x = Additive(random.normal(size=(2, 4))), random.normal(size=(3, 4))
    found = decompose(model, x, random.normal(size=4), engine=engine)
    assert np.abs(found.pairs).max() < 1e-12
    assert np.abs(found.interactive).max() < 1e-12
    assert found.shared is None or np.abs(found.shared).max() < 1e-12


def test_linear_model_has_first_order_alone_and_needs_no_more_than_second():
    weights, x = np.array([[1.0, -2.0, 0.5]]), np.array([[1.0, 2.0, 3.0]])
    found = decompose(linear_model(weights, 0.7), x, np.zeros(3))
    assert found.engine == "hessian"
    np.testing.assert_allclose(found.first[0], weights * x, atol=1e-12)
    assert np.abs(found.independent).max() < 1e-12


@pytest.mark.parametrize(
    ("layers", "kinks"),
    [
        ([nn.ReLU()], ["Relu"]),
        ([nn.Tanh(), nn.MaxPool1d(2)], ["MaxPool2DWithIndices"]),
        ([nn.Mish()], []),
        ([nn.Sigmoid()], []),
    ],
)
def test_engine_follows_from_the_operations_in_the_model(layers, kinks):
    model = nn.Sequential(nn.Linear(4, 6), *layers, nn.Linear(3 if "MaxPool2DWithIndices" in kinks else 6, 1)).double()
    x = torch.randn(2, 4, dtype=torch.float64)
    assert find_kinks(Outputs(model), (x,)) == kinks
    found = decompose(model, x, torch.zeros(4))
    assert (found.engine == "sets") == bool(kinks)
    assert all(name in found.reason for name in kinks)


def test_kink_in_a_function_is_found_though_no_module_has_it():
    found = decompose(lambda x: torch.clamp(x, min=0.2).sum(dim=1), torch.randn(2, 3), torch.zeros(3))
    assert (found.engine, found.reason) == ("sets", "kinks: Clamp")


def test_sets_are_exact_where_the_hessian_sees_nothing():
    """relu(a + b) - relu(a) - relu(b) at (1, -1) around (0, 0): a pair effect of -1 without any second derivative."""
    found = decompose(lambda x: torch.relu(x.sum(dim=1)), np.array([[1.0, -1.0]]), np.array([0.0, 0.0]))
    np.testing.assert_allclose(found.pairs[0, 0], [[0, -1], [-1, 0]], atol=1e-12)


@given(st.integers(0, 1000), st.floats(0.05, 0.6))
@settings(max_examples=15, deadline=None)
def test_errors_stay_below_their_bounds(seed, size):
    model = smooth_network(5, 2, seed=seed)
    random = np.random.default_rng(seed)
    x0 = random.normal(size=(3, 5))
    x = x0 + size * random.normal(size=(3, 5))
    for engine in ENGINES:
        found = decompose(model, x, x0, np.array([0, 0, 1, 1, 2]), engine=engine)
        assert (np.abs(found.error) <= found.bound * 1.001).all(), engine


def test_terms_of_a_pair_of_regions_and_more_add_up_to_the_change():
    model = smooth_network(6, 1, seed=3)
    x = np.random.default_rng(0).normal(size=(4, 6))
    found = decompose(model, x, np.zeros(6), np.array([0, 0, 1, 1, 2, 2]), engine="sets")
    alone = (found.first + found.independent).sum(axis=-1)
    pairs = 0.5 * found.pairs.sum(axis=(-1, -2))
    # with three regions every interactive effect counts pairs once for each member and the triple three times
    triple = found.interactive.sum(axis=-1) - 2 * pairs
    np.testing.assert_allclose(triple, 3 * (found.change - alone - pairs), atol=1e-10)


def test_result_does_not_depend_on_the_batch_size():
    model = smooth_network(6, 2, seed=4)
    x = np.random.default_rng(1).normal(size=(5, 6))
    whole, single = (decompose(model, x, np.zeros(6), engine="path", batch_size=n) for n in (1000, 1))
    for name in ("first", "independent", "interactive", "shared", "pairs", "by_order"):
        np.testing.assert_allclose(getattr(single, name), getattr(whole, name), atol=1e-10)


def test_wrong_engines_and_baselines_are_refused_in_one_line():
    with pytest.raises(MethodError, match="engine: found 'taylor'"):
        decompose(cubic, POINT, np.zeros(3), engine="taylor")
    with pytest.raises(ShapeError, match="baselines: found"):
        decompose(cubic, POINT, np.zeros((2, 3)))
