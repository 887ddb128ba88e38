"""Maps summed inside the stream: squares of pixels, channels, regions; in reverse and in forward mode."""

import numpy as np
import pytest
import torch
import xarray as xr

import igc
from igc.attribution import cells as cells_module
from igc.attribution.cells import Cells
from igc.attribution.correlation import data_baseline, pairs
from igc.attribution.correlation.design import PairDesign
from igc.attribution.correlation.pair_state import PairState
from igc.attribution.forward_mode import cell_derivatives, has_forward_mode
from igc.attribution.gradients import Outputs
from igc.attribution.problem import Problem, group_blocks
from igc.errors import MethodError, ShapeError
from igc.steps.sources import ArraySource
from igc.testing.probes import linear_model, smooth_network, toy_samples

LABELS = np.array([1, 1, 2, 0, 2, 0, 3])
OVERLAPPING = {"parts": LABELS, "halves": np.array([1, 1, 1, 1, 2, 2, 2])}
SIDES = ["outputs", "latents", "cells", "cells of latents"]


def run(model, samples, **options):
    return igc.attribute(model, samples, progress=False, **options)


def case(n=120, n_targets=5):
    model = smooth_network(7, n_targets, seed=2)
    return model, toy_samples(n, 7, model)


def close(first: xr.DataArray, second: xr.DataArray, tolerance=1e-10):
    scale = float(np.abs(second).max())
    np.testing.assert_allclose(first, second, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("groups", [None, np.arange(120) // 12])
def test_regions_alone_are_those_beside_a_map(side, groups):
    model, samples = case()
    options = {"points": 3, "rois": OVERLAPPING, "groups": groups, "permutations": 0}
    whole = run(model, samples, **options, side="latents" if "latents" in side else "outputs")
    alone = run(model, samples, **options, pool="rois", side=side)
    assert "attribution" not in alone
    for name in ("roi_attribution", "roi_estimator_error", "roi_standard_error", "roi_without_group"):
        close(alone[name], whole[name])
    for name in ("score", "completeness_error", "completeness_standard_error"):
        np.testing.assert_allclose(alone[name], whole[name], rtol=0, atol=1e-10)


def test_forward_mode_refuses_what_it_cannot_do():
    model, samples = case()
    with pytest.raises(MethodError, match="pool"):
        run(model, samples, points=2, side="cells", rois=OVERLAPPING)
    with pytest.raises(MethodError, match="rois"):
        run(model, samples, points=2, pool="rois")


class _Doubled(torch.autograd.Function):
    """An operation without a forward mode."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


def test_a_model_without_a_forward_mode_takes_the_reverse_one():
    base, samples = case()

    def model(x):
        return base(_Doubled.apply(x) / 2)

    points = (torch.as_tensor(samples[0][:3]),)
    assert has_forward_mode(Outputs(base), points)
    assert not has_forward_mode(Outputs(model), points)
    expected = run(base, samples, points=2, pool="rois", rois=OVERLAPPING, side="outputs", permutations=0)
    found = run(model, samples, points=2, pool="rois", rois=OVERLAPPING, permutations=0)
    close(found["roi_attribution"], expected["roi_attribution"])
    with pytest.raises(MethodError, match="forward mode"):
        run(model, samples, points=2, pool="rois", rois=OVERLAPPING, side="cells")


def test_a_forward_mode_that_is_wrong_is_found_out():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return 2 * x

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def backward(ctx, gradient):
            return 2 * gradient

        @staticmethod
        def jvp(ctx, tangent):
            return 3 * tangent

        generate_vmap_rule = True

    base, samples = case()
    points = (torch.as_tensor(samples[0][:3]),)
    assert not has_forward_mode(Outputs(lambda x: base(Wrong.apply(x))), points)


@pytest.mark.parametrize("step", [1, 1 << 26])
def test_derivatives_along_cells_are_sums_of_gradients(monkeypatch, step):
    monkeypatch.setattr("igc.attribution.forward_mode.TANGENT_BYTES", step)
    model, (inputs, _) = case()
    points, direction = torch.as_tensor(inputs[:9]), torch.as_tensor(inputs[9:18])
    pilot = torch.randn(5, 7, dtype=torch.float64)
    cells = Cells.of(7, [(LABELS, 4)], (np.arange(7) // 2, 4))
    found = cell_derivatives(Outputs(model), (points,), direction, pilot, cells)
    jacobian = torch.stack([torch.autograd.functional.jacobian(model, x) for x in points])
    products = (jacobian - pilot) * direction[:, None]
    for first, labels in ((0, np.arange(7) // 2), (4, LABELS)):
        for cell in range(4):
            expected = products[:, :, torch.as_tensor(labels == cell)].sum(dim=2)
            torch.testing.assert_close(found[:, :, first + cell], expected)


@pytest.mark.parametrize("dense", [True, False])
def test_cells_sum_components(monkeypatch, dense):
    monkeypatch.setattr(cells_module, "DENSE", 1 << 22 if dense else 0)
    random = np.random.default_rng(0)
    maps = random.normal(size=(3, 5, 7))
    pooled = np.array([0, 0, 1, 1, 2, 2, 2])
    cells = Cells.of(7, [(LABELS, 5)], (pooled, 3))
    expected = np.stack(
        [maps[..., pooled == k].sum(-1) for k in range(3)] + [maps[..., k == LABELS].sum(-1) for k in range(5)], axis=-1
    )
    np.testing.assert_allclose(cells.summed(maps), expected, atol=1e-12)
    np.testing.assert_allclose(cells.pool(torch.as_tensor(maps)).numpy(), expected, atol=1e-12)
    assert cells.partitions == [slice(0, 3), slice(3, 8)]
    np.testing.assert_array_equal(cells.members(2), [4, 5, 6])
    with pytest.raises(ShapeError, match="below 3"):
        Cells.of(7, [(LABELS, 3)])


def image_case(channels=2):
    random = np.random.default_rng(1)
    inputs = random.normal(size=(90, channels, 4, 4))
    mixing = torch.as_tensor(random.normal(size=(channels * 16, 3)))

    def model(x):
        return torch.tanh(x.flatten(1) @ mixing / 3)

    with torch.no_grad():
        responses = model(torch.as_tensor(inputs)).numpy() + random.normal(size=(90, 3))
    return model, (inputs, responses)


@pytest.mark.parametrize("method", ["igc", "igac", "integrated_gradients", "expected_gradients", "bsc"])
@pytest.mark.parametrize("baselines", ["data", "mean"])
def test_pooled_maps_are_sums_of_maps(method, baselines):
    model, samples = image_case()
    options = {"method": method, "baselines": baselines, "points": 4, "summary": None}
    if method not in ("igc", "igac", "bsc"):
        options["summary"] = "covariance"
    fine = run(model, samples, **options)
    whole = fine["attribution"].values
    pooled = run(model, samples, **options, pool=("channels", 2))
    # of a quadrature the gap is shared out by squared errors, which are not those of the sums
    gap = float(np.abs(fine["completeness_error"]).max()) if baselines == "mean" and "completeness_error" in fine else 0
    assert pooled["attribution"].dims == ("target", "row", "column")
    expected = whole.sum(axis=1).reshape(3, 2, 2, 2, 2).sum(axis=(2, 4))
    np.testing.assert_allclose(pooled["attribution"], expected, rtol=0, atol=1e-10 + gap)
    assert bool(np.isfinite(pooled["standard_error"]).all()) or method == "bsc"  # of one pair of orders


def test_errors_of_pooled_maps_are_those_of_the_sums():
    model, samples = image_case()
    labels = np.kron(np.arange(1, 5).reshape(2, 2), np.ones((2, 2), int))
    rois = {"squares": np.broadcast_to(labels, (2, 4, 4))}
    options = {"points": 4, "groups": np.arange(90) // 9, "permutations": 0}
    regions = run(model, samples, rois=rois, **options)
    pooled = run(model, samples, pool=["channels", 2], **options)
    for name in ("standard_error", "estimator_error"):
        found = pooled[name].values.reshape(3, 4)
        np.testing.assert_allclose(found, regions[f"roi_{name}"][:, :4], rtol=0, atol=1e-12)


@pytest.mark.parametrize("pool", ["channels", (3,), "pixels", 0, True, ("channels", "channels")])
def test_pooling_that_does_not_fit_is_refused(pool):
    _, samples = image_case()
    samples = (samples[0][:, 0], samples[1]) if pool == "channels" else samples
    with pytest.raises(MethodError, match="pool"):
        run(lambda x: x.flatten(1)[:, :3], samples, pool=pool)


def test_groups_are_kept_of_regions_where_components_take_too_much_memory(monkeypatch):
    model, samples = case()
    options = {"points": 3, "rois": OVERLAPPING, "groups": np.arange(120) // 12, "permutations": 0}
    whole = run(model, samples, **options)
    monkeypatch.setattr("igc.steps.solving.RESOLVED_BYTES", 0)
    some = run(model, samples, **options)
    assert bool(some["standard_error"].isnull().all())
    close(some["attribution"], whole["attribution"])
    for name in ("roi_attribution", "roi_standard_error", "roi_without_group", "score_standard_error"):
        close(some[name], whole[name])
    monkeypatch.setattr(data_baseline, "GROUP_BYTES", 0)
    none = run(model, samples, **options)
    assert bool(none["roi_standard_error"].isnull().all())
    close(none["roi_attribution"], whole["roi_attribution"])


def test_linear_models_are_exact_in_every_mode():
    weights = np.random.default_rng(3).normal(size=(4, 7))
    model = linear_model(weights, 0.3)
    samples = toy_samples(100, 7, model)
    exact = run(model, samples, method="linear_igc", rois=OVERLAPPING)["roi_attribution"]
    for side in ("outputs", "cells"):
        found = run(model, samples, points=1, pool="rois", rois=OVERLAPPING, side=side, permutations=0)
        close(found["roi_attribution"], exact)


@pytest.mark.parametrize("method", ["igc", "igac", "bsc", "integrated_gradients"])
@pytest.mark.parametrize("pool", [None, "rois"])
@pytest.mark.parametrize("one_hot", [False, True])
def test_blocks_of_targets_change_nothing(monkeypatch, method, pool, one_hot):
    model, (inputs, responses) = case()
    if one_hot:
        responses = np.eye(5)[responses.argmax(axis=1)]
    options = {"method": method, "points": 3, "rois": OVERLAPPING, "groups": np.arange(120) // 12, "pool": pool}
    side = {"side": "outputs"} if method == "igc" else {}
    whole = run(model, (inputs, responses), **options, **side)
    monkeypatch.setattr("igc.steps.blocks.BLOCK_BYTES", 2 * 400 * 12)
    blocks = run(model, (inputs, responses), **options, **side)
    assert set(whole.data_vars) - set(blocks.data_vars) <= {"class_mean"}
    for name in set(blocks.data_vars) - {"roi_null", "roi_null_error"}:
        np.testing.assert_allclose(blocks[name], whole[name], rtol=1e-9, atol=1e-10, err_msg=str(name))


def _state(problem, design, first, stop):
    unit = [pairs.pair_unit(problem, design, np.zeros((2, 5)), "all", i) for i in range(first, stop)]
    total = unit[0]
    for part in unit[1:]:
        total = total.merge(part)
    return total


def test_finished_replicates_are_folded_into_their_spread():
    model = smooth_network(5, 2, seed=1)
    inputs, responses = toy_samples(60, 5, model)
    source = ArraySource((inputs,), responses, np.arange(60))
    groups = group_blocks(np.arange(60) // 10, 60)
    problem = Problem(Outputs(model), source, groups, dtype=torch.float64, block_size=20)
    design = PairDesign(tuple(problem.block_bounds()), 0, 0, 4)
    whole = _state(problem, design, 0, 12)
    assert whole.finished == 4
    assert not len(whole.open)
    halves = _state(problem, design, 0, 5).merge(_state(problem, design, 5, 12))
    other = _state(problem, design, 0, 1).merge(_state(problem, design, 1, 12))
    assert _state(problem, design, 0, 5).finished == 1
    for state in (halves, other, PairState.from_arrays(whole.to_arrays())):
        assert state.finished == 4
        for name, value in whole.to_arrays().items():
            np.testing.assert_allclose(state.to_arrays()[name], value, rtol=1e-10, atol=1e-12, err_msg=name)
    means, weights = [], []
    for replicate in range(4):
        parts = [_state(problem, design, 3 * replicate + i, 3 * replicate + i + 1).within for i in range(3)]
        means.append(np.average([p.mean_map[0] for p in parts], axis=0, weights=[p.weight[0] for p in parts]))
        weights.append(sum(p.weight[0] for p in parts))
    centred = np.array(means) - np.average(means, axis=0, weights=weights)
    np.testing.assert_allclose(whole.between.map[0], np.einsum("r,rkc->kc", weights, centred**2), rtol=1e-9)
