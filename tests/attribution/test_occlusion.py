"""Occlusion against captum, closed forms and switching by hand."""

import captum.attr
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import igc
from igc.attribution.standard.occlusion import label_patches, square_patches
from igc.errors import IgcError, MethodError
from igc.testing.probes import Quadratic, linear_model, smooth_network, toy_samples


def run(model, samples, method="occlusion", **options):
    return igc.attribute(model, samples, method, progress=False, **options)


def network(channels=1, side=8):
    torch.manual_seed(0)
    layers = (nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(side**2, 3))
    return nn.Sequential(*layers).double()


def images(n=20, channels=1, side=8):
    random = np.random.default_rng(0)
    return random.normal(size=(n, channels, side, side)), random.normal(size=(n, 3))


@pytest.mark.parametrize("method", ["occlusion", "occlusion_patch"])
def test_a_linear_model_gets_weight_times_difference(method):
    weights = np.random.default_rng(0).normal(size=(2, 6))
    model = linear_model(weights, 0.7)
    inputs, responses = toy_samples(50, 6, model)
    baselines = np.random.default_rng(1).normal(size=(3, 6))
    result = run(model, (inputs, responses), method, baselines=baselines)
    difference = inputs - baselines.mean(axis=0)
    np.testing.assert_allclose(result["attribution"], weights * difference.mean(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(result["standard_deviation"], abs(weights) * difference.std(axis=0), atol=1e-12)


def test_every_interaction_is_given_in_full_to_each_of_its_members():
    random = np.random.default_rng(0)
    matrices = random.normal(size=(2, 5, 5))
    matrices = matrices + matrices.transpose(0, 2, 1)
    linear, start = random.normal(size=(2, 5)), random.normal(size=5)
    model = Quadratic(linear, matrices)
    inputs, responses = toy_samples(60, 5, model)
    delta = inputs - start
    first = (linear + matrices @ start) * delta[:, None]
    own = 0.5 * np.einsum("kii,ni->nki", matrices, delta**2)
    pairs = np.einsum("kij,ni,nj->nkij", matrices, delta, delta)
    interactions = pairs.sum(axis=3) - np.einsum("nkii->nki", pairs)
    result = run(model, (inputs, responses), baselines=start)
    np.testing.assert_allclose(result["attribution"], (first + own + interactions).mean(axis=0), rtol=0, atol=1e-12)


def test_single_components_equal_captum_for_every_target_of_a_network_on_images():
    model, (inputs, responses) = network(), images()
    start = np.random.default_rng(3).normal(size=(1, 8, 8))
    result = run(model, (inputs, responses), baselines=start)
    oracle = captum.attr.FeatureAblation(model)
    for k in range(3):
        with torch.no_grad():
            expected = oracle.attribute(torch.as_tensor(inputs), torch.as_tensor(start)[None], target=k).numpy()
        np.testing.assert_allclose(result["attribution"][k], expected.mean(axis=0), rtol=0, atol=1e-12)
        np.testing.assert_allclose(result["mean_absolute"][k], abs(expected).mean(axis=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("side", "stride"), [(2, 2), (4, 2), (2, 1), (3, 1)])
def test_patches_equal_captum_where_they_fit_the_image(side, stride):
    model, (inputs, responses) = network(2), images(channels=2)
    result = run(model, (inputs, responses), "occlusion_patch", baselines="zero", patch=side, stride=stride)
    windows, steps = (2, side, side), (2, stride, stride)
    with torch.no_grad():
        expected = captum.attr.Occlusion(model).attribute(torch.as_tensor(inputs), windows, strides=steps, target=1)
    # captum gives the effect of a patch to each of its components, here it is divided between them
    divided = expected.numpy().mean(axis=0) / (2 * side * side)
    # and captum adds up in float32
    np.testing.assert_allclose(result["attribution"][1], divided, rtol=0, atol=1e-8)


def test_patches_that_are_cut_at_the_border_equal_switching_by_hand():
    model, (inputs, responses) = network(), images()
    result = run(model, (inputs, responses), "occlusion_patch", baselines="zero", patch=5, stride=2)
    x = torch.as_tensor(inputs)
    total, times = np.zeros((3, 8, 8)), np.zeros((8, 8))
    for i in (0, 2, 4):
        for j in (0, 2, 4):
            cut = x.clone()
            cut[..., i : i + 5, j : j + 5] = 0
            with torch.no_grad():
                effect = (model(x) - model(cut)).mean(dim=0).numpy()
            here = np.zeros((8, 8))
            here[i : i + 5, j : j + 5] = 1
            total += effect[:, None, None] * here / here.sum()
            times += here
    np.testing.assert_allclose(result["attribution"][:, 0], total / times, rtol=0, atol=1e-12)


def test_the_sum_over_a_region_is_the_effect_of_switching_all_of_it():
    model = smooth_network(6, 2, seed=3)
    inputs, responses = toy_samples(60, 6, model)
    labels = np.array([2, 0, 1, 1, 2, 1])
    result = run(model, (inputs, responses), baselines="mean", features="parts", rois={"parts": labels})
    mask, start = torch.as_tensor(labels)[None], torch.as_tensor(inputs.mean(axis=0, keepdims=True))
    with torch.no_grad():
        oracle = captum.attr.FeatureAblation(model).attribute(torch.as_tensor(inputs), start, 0, feature_mask=mask)
    for region, component in ((1, 2), (2, 0), (0, 1)):
        value = result["roi_attribution"].values[0, list(result["roi_index"].values).index(region)]
        np.testing.assert_allclose(value, oracle[:, component].mean(), rtol=0, atol=1e-12)


def test_several_inputs_are_switched_each_in_its_own_map():
    class Two(nn.Module):
        def forward(self, image, vector):
            return torch.tanh(image.flatten(1).cumsum(1)[:, :3] * vector[:, :1] + vector[:, 1:])

    random = np.random.default_rng(0)
    image, vector = random.normal(size=(30, 1, 2, 2)), random.normal(size=(30, 4))
    result = run(Two(), ((image, vector), random.normal(size=(30, 3))), baselines="zero")
    with torch.no_grad():
        tensors = (torch.as_tensor(image), torch.as_tensor(vector))
        oracle = captum.attr.FeatureAblation(Two()).attribute(tensors, target=2)
    for number, expected in enumerate(oracle):
        values = result[f"attribution_{number}"][2]
        np.testing.assert_allclose(values, expected.numpy().mean(axis=0), rtol=0, atol=1e-12)
    patched = run(Two(), ((image, vector), random.normal(size=(30, 3))), "occlusion_patch", baselines="zero", patch=2)
    np.testing.assert_allclose(patched["attribution_1"], result["attribution_1"], rtol=0, atol=1e-12)
    assert len(np.unique(patched["attribution_0"].values[2])) == 1


@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 9)),
    side=st.integers(1, 10),
    stride=st.integers(1, 10),
)
@settings(max_examples=60, deadline=None)
def test_patches_cover_every_pixel_and_hand_out_what_they_have(shape, side, stride):
    if stride > side:
        with pytest.raises(MethodError, match="stride"):
            square_patches(side, stride, [shape])
        return
    patches = square_patches(side, stride, [shape])
    mask = patches.mask(0, len(patches)).numpy()
    assert mask.any(axis=0).all()
    assert mask.any(axis=1).all()
    spreading = patches.spreading().to_dense().numpy().T
    assert ((spreading > 0) == mask).all()
    if (mask.sum(axis=0) == 1).all():
        np.testing.assert_allclose(spreading.sum(axis=1), 1.0)
    # equal effects per component come back as they are, whatever the overlap
    np.testing.assert_allclose(mask.sum(axis=1) @ spreading, 1.0)


def test_features_of_labels_are_patches_without_overlap():
    patches = label_patches(np.array([3, 1, 3, 0]), [(4,)])
    np.testing.assert_array_equal(patches.mask(0, 3), [[0, 0, 0, 1], [0, 1, 0, 0], [1, 0, 1, 0]])


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("occlusion_patch", {"patch": 2}, "images"),
        ("occlusion_patch", {"features": 2}, "features"),
        ("occlusion", {"features": 2}, "images"),
        ("occlusion", {"patch": 2}, "patch"),
    ],
)
def test_wrong_options_for_vectors_end_in_one_clear_line(method, options, words):
    model = smooth_network(6, 3)
    with pytest.raises(IgcError, match=words):
        run(model, toy_samples(50, 6, model), method, **options)


@pytest.mark.parametrize("options", [{"patch": 0}, {"patch": True}, {"stride": 5}, {"patch": 2, "stride": 1.5}])
def test_wrong_patches_of_images_are_refused(options):
    with pytest.raises(MethodError, match=r"patch|stride"):
        run(network(), images(), "occlusion_patch", **options)
