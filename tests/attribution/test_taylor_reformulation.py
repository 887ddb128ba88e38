"""Attributions predicted from terms and weights, against what the methods themselves (captum's) give."""

import numpy as np
import pytest
import torch
from captum.attr import DeepLift, InputXGradient, IntegratedGradients, Occlusion, ShapleyValues
from torch import nn

from igc.attribution.gradients import Outputs
from igc.attribution.standard.lrp import EpsilonLrp
from igc.attribution.taylor import agreement, decompose, reformulate
from igc.attribution.taylor.weights import WEIGHTINGS, find_weighting, principles
from igc.errors import MethodError
from igc.testing.probes import Quadratic

D = 5


def quadratic():
    random = np.random.default_rng(0)
    matrices = random.normal(size=(1, D, D))
    return Quadratic(random.normal(size=(1, D)), matrices + matrices.transpose(0, 2, 1))


def data(seed=1, n=4, shape=(D,)):
    random = np.random.default_rng(seed)
    return 0.5 * torch.as_tensor(random.normal(size=(n, *shape))), torch.as_tensor(random.normal(size=(3, *shape)))


def mlp(scale=0.3):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(D, 12), nn.Sigmoid(), nn.Linear(12, 8), nn.Sigmoid(), nn.Linear(8, 1)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(scale * torch.randn_like(parameter))
    return model


def cnn():
    torch.manual_seed(1)
    layers = [nn.Conv2d(1, 3, 3, stride=2), nn.Sigmoid(), nn.Flatten(), nn.Linear(27, 1)]
    return nn.Sequential(*layers).double()


def real(method, model, x, baseline):
    """Return what captum gives for one baseline."""
    if method == "gradient_x_input":
        return InputXGradient(model).attribute(x, target=0)
    if method == "integrated_gradients":
        return IntegratedGradients(model).attribute(x, baseline, target=0, n_steps=64)
    if method == "occlusion":
        return Occlusion(model).attribute(x, sliding_window_shapes=(1,), baselines=baseline, target=0)
    if method == "baseline_shapley":
        return ShapleyValues(model).attribute(x, baseline, target=0)
    return DeepLift(model, eps=1e-12).attribute(x, baseline.expand_as(x), target=0)


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion", "gradient_x_input"])
def test_second_order_terms_give_the_attributions_of_a_quadratic(method):
    model, (x, references) = quadratic(), data()
    baseline = torch.zeros(1, D, dtype=torch.float64) if method == "gradient_x_input" else references[:1]
    found = reformulate(method, model, x, baseline)
    expected = real(method, model, x, baseline).detach().numpy()
    np.testing.assert_allclose(found.predicted[:, 0], expected, atol=1e-8 if expected.dtype == np.float64 else 1e-5)
    assert np.abs(found.left).max() < 1e-8


def test_weights_of_the_data_baselines_are_means_over_single_ones():
    model, (x, references) = quadratic(), data()
    for method, single in (("expected_gradients", "integrated_gradients"), ("baseline_shapley", "baseline_shapley")):
        expected = np.mean([real(single, model, x, b[None]).detach().numpy() for b in references], axis=0)
        np.testing.assert_allclose(
            reformulate(method, model, x, references).predicted[:, 0], expected, atol=1e-5
        )  # captum adds in float32


@pytest.mark.parametrize("method", ["integrated_gradients", "gradient_x_input", "occlusion", "baseline_shapley"])
def test_terms_of_a_sigmoid_network_predict_its_attributions(method):
    model, (x, _) = mlp(), data()
    baseline = torch.zeros(1, D, dtype=torch.float64)
    expected = real(method, model, x, baseline).detach().numpy()
    difference, r = agreement(reformulate(method, model, x, baseline).predicted[:, 0], expected)
    assert r > 0.99
    assert difference < 0.03 * np.abs(expected).mean()


def test_higher_orders_come_closer():
    model, (x, _) = mlp(0.6), data()
    baseline = torch.zeros(1, D, dtype=torch.float64)
    for method in ("integrated_gradients", "gradient_x_input"):
        expected = real(method, model, x, baseline).detach().numpy()
        gaps = [
            agreement(reformulate(method, model, x, baseline, order=n).predicted[:, 0], expected)[0] for n in (1, 3, 9)
        ]
        assert gaps[0] > 3 * gaps[1] > 9 * gaps[2]


@pytest.mark.parametrize("make", [mlp, cnn])
def test_terms_of_neurons_predict_layered_methods(make):
    model = make()
    shape = (D,) if make is mlp else (1, 8, 8)
    x, references = data(shape=shape)
    deep = real("deeplift", model, x, references[:1]).detach().numpy().reshape(len(x), -1)
    predicted = reformulate("deeplift", model, x, references[:1], order=5).predicted[:, 0]
    difference, r = agreement(predicted, deep)
    assert r > 0.999
    assert difference < 0.02 * np.abs(deep).mean()
    rows = np.arange(len(x))
    lrp = EpsilonLrp().attribute(Outputs(model), (x,), rows)[:, 0].detach().numpy()
    difference, r = agreement(reformulate("lrp_epsilon", model, x, references[:1], order=5).predicted[:, 0], lrp)
    assert r > 0.999
    assert difference < 0.02 * np.abs(lrp).mean()


def test_regions_sum_over_their_components_where_methods_are_additive():
    model, (x, references) = mlp(), data()
    labels = np.array([0, 1, 1, 0, 1])
    for method in ("integrated_gradients", "deeplift"):
        single = reformulate(method, model, x, references[:1]).predicted
        joint = reformulate(method, model, x, references[:1], labels).predicted
        np.testing.assert_allclose(joint[..., 1], single[..., [1, 2, 4]].sum(axis=-1), atol=1e-10)


@pytest.mark.parametrize("method", sorted(WEIGHTINGS))
def test_every_method_gives_first_order_terms_to_their_own_component(method):
    weights = find_weighting(method).weights
    np.testing.assert_array_equal(weights(np.array([0, 1, 0])), [0, 1, 0])
    assert (weights(np.array([2, 0, 1]))[1] == 0).all()


def test_principles_tell_what_each_method_keeps():
    sizes = {"independent": 0.3, "interactive": 0.4}
    judged = {name: principles(name, sizes, 0.6, 0.5) for name in WEIGHTINGS}
    assert judged["gradient_x_input"].kept == {
        "low approximation error": False,
        "right assignment": False,
        "unbiased baseline": False,
    }
    assert judged["occlusion"].independent == 0
    assert judged["occlusion"].interactive == pytest.approx(0.4)
    assert judged["integrated_gradients"].met == 2
    assert judged["expected_gradients"].met == 3
    assert judged["baseline_shapley"].met == 3
    # what layered methods keep is known of neurons, not of networks
    assert judged["deeplift"].kept["right assignment"] is None
    assert judged["deeplift"].summary == "1+ of 3"
    assert judged["lrp_epsilon"].summary == "0+ of 3"
    assert judged["expected_gradients"].summary == "3 of 3"


def test_unknown_methods_and_orders_are_refused():
    x, references = data()
    with pytest.raises(MethodError, match="method: found 'saliency'"):
        reformulate("saliency", mlp(), x, references[:1])
    with pytest.raises(MethodError, match="order: found 3"):
        reformulate("occlusion", mlp(), x, references[:1], order=3)


def test_series_made_anew_on_segments_hold_where_a_single_one_does_not():
    model, (x, references) = mlp(2.0), data()
    x = 4 * x
    expected = real("deeplift", model, x, references[:1]).detach().numpy()
    single, cut = (
        agreement(reformulate("deeplift", model, x, references[:1], segments=n).predicted[:, 0], expected)
        for n in (1, 32)
    )
    assert cut[1] > 0.9999
    assert single[0] > 20 * cut[0]


def test_exact_effects_give_occlusion_and_shapley_values_at_any_distance():
    model, (x, references) = mlp(2.0), data()
    x = 4 * x
    baseline = torch.zeros(1, D, dtype=torch.float64)
    expected = real("occlusion", model, x, baseline).detach().numpy()
    found = reformulate("occlusion", model, x, baseline, engine="sets")
    np.testing.assert_allclose(found.predicted[:, 0], expected, atol=1e-5)
    labels = np.array([0, 0, 0, 1, 1])
    joint = ShapleyValues(model).attribute(x, baseline, target=0, feature_mask=torch.as_tensor(labels[None]))
    found = reformulate("baseline_shapley", model, x, baseline, labels, engine="sets")
    np.testing.assert_allclose(found.predicted[:, 0], joint.numpy()[:, [0, 3]], atol=1e-5)
    assert np.abs(found.left).max() < 1e-12
    expected = torch.stack([real("baseline_shapley", model, x, row[None]) for row in references]).mean(dim=0)
    found = reformulate("baseline_shapley", model, x, references, engine="sets")
    np.testing.assert_allclose(found.predicted[:, 0], expected.numpy(), atol=1e-5)  # captum keeps float32
    assert np.abs(found.left).max() < 1e-12
    pairs = [decompose(model, x, row[None], engine="sets") for row in references]
    second = np.mean([one.first + one.independent + 0.5 * one.pairs.sum(axis=-1) for one in pairs], axis=0)
    assert np.abs(second[:, 0] - expected.numpy()).max() > 0.1  # pairs are far from all


def test_of_many_regions_exact_effects_up_to_pairs_are_handed_out():
    random = np.random.default_rng(3)
    matrices = random.normal(size=(1, 12, 12))
    model = Quadratic(random.normal(size=(1, 12)), matrices + matrices.transpose(0, 2, 1))
    x, references = data(shape=(12,))
    found = reformulate("baseline_shapley", model, x, references[:1], engine="sets")
    assert found.order == 2
    expected = reformulate("baseline_shapley", model, x, references[:1])
    np.testing.assert_allclose(found.predicted, expected.predicted, atol=1e-10)
