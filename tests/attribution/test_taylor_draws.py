"""Draws of the parts of IGC: what is taken off moves no estimate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from igc.attribution.drawn import BaselinePool
from igc.attribution.gradients import Outputs
from igc.attribution.problem import Problem
from igc.attribution.taylor import decompose
from igc.attribution.taylor.draws import _Known, _pair_slopes, _Round, _without_baselines
from igc.attribution.taylor.moved import MovedOutputs
from igc.attribution.taylor.parts import Design
from igc.attribution.taylor.points import region_masks
from igc.testing.probes import Quadratic, smooth_network, toy_samples


def met(n_draws, n, first=0):
    return (np.arange(n) + np.arange(first, first + n_draws)[:, None]) % n


def test_what_depends_on_the_baseline_alone_is_taken_off_whole():
    rng = np.random.default_rng(0)
    own = rng.normal(size=(7, 2, 3))
    effects = own[met(4, 7, 5)]
    left = _without_baselines(effects, met(4, 7, 5))
    np.testing.assert_allclose(left, 0, atol=1e-14)


def test_what_is_taken_off_comes_from_other_samples():
    rng = np.random.default_rng(1)
    effects = rng.normal(size=(3, 5, 1, 3))
    left, places = _without_baselines(effects, met(3, 5)), met(3, 5)
    for k in range(3):
        for i in range(5):
            others = [effects[j, m] for j in range(3) for m in range(5) if places[j, m] == places[k, i] and m != i]
            expected = effects[k, i] - np.mean(others, axis=0)
            np.testing.assert_allclose(left[k, i], expected, atol=1e-12)


def test_a_single_draw_has_nothing_to_compare_with():
    effects = np.random.default_rng(2).normal(size=(1, 5, 1, 3))
    np.testing.assert_array_equal(_without_baselines(effects, met(1, 5)), effects)


def problem(model, n=24, d=6, targets=2, **options):
    random = np.random.default_rng(3)
    inputs, responses = random.normal(size=(n, d)), random.normal(size=(n, targets))
    inputs[::2, :2] = 0.0  # a region that does not differ between half of the samples
    return Problem(Outputs(model), Arrays(inputs, responses), np.arange(n), dtype=torch.float64, **options)


@dataclass
class Arrays:
    """Samples in memory."""

    inputs: np.ndarray
    responses: np.ndarray

    @property
    def n_samples(self):
        return len(self.inputs)

    @property
    def input_shapes(self):
        return (self.inputs.shape[1:],)

    def read(self, rows):
        return (self.inputs[rows],), self.responses[rows]

    def read_responses(self, rows):
        return self.responses[rows]


def one_by_one(outputs, low, high, subsets):
    """Return outputs where one subset has moved, (pair, subset, target), each on an input made for it."""
    rows = [[torch.where(subset, b.ravel(), a.ravel()) for subset in subsets] for a, b in zip(low, high, strict=True)]
    with torch.no_grad():
        return torch.stack([outputs((torch.stack(row).reshape(-1, *low.shape[1:]),)) for row in rows])


def test_outputs_of_moved_regions_are_those_of_the_model_which_is_not_run_where_nothing_moves():
    network, seen = smooth_network(6, 2), []

    def model(x):
        seen.append(len(x))
        return network(x)

    given = problem(model)
    inputs = given.load(np.arange(24))[0]
    masks = region_masks(np.array([0, 0, 1, 1, 2, 2]), given.device)
    start, stop = np.repeat(np.arange(24), 24), np.tile(np.arange(24), 24)
    at_start = network(inputs[0]).detach()
    moved = MovedOutputs.of(given.outputs, (inputs[0][:1],), masks, 24, 1000)
    found = moved.values((inputs, inputs), (start, stop), at_start)
    expected = one_by_one(Outputs(network), inputs[0][start], inputs[0][stop], masks)
    np.testing.assert_allclose(found, expected, atol=1e-14)
    differ = 3 * 24 * 23 - 12 * 11
    assert differ <= sum(seen) < differ + 64


def image_network():
    torch.manual_seed(0)
    convolutions = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Mish(), nn.MaxPool2d(2))
    readout = nn.Sequential(nn.Flatten(), nn.Linear(4 * 36, 5), nn.Tanh(), nn.Linear(5, 3))
    return nn.Sequential(convolutions, nn.Conv2d(4, 4, 3, padding=1), nn.GELU(), readout).double().eval()


def vector_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(288, 7), nn.Mish(), nn.Linear(7, 3)).double().eval()


@pytest.mark.parametrize("output", ["raw", "probability"])
@pytest.mark.parametrize("build", [image_network, vector_network])
def test_outputs_of_moved_regions_and_of_all_but_one_are_the_same_on_windows(build, output):
    network, random = build(), np.random.default_rng(5)
    outputs = Outputs(network, output, (0, 2))
    shape = (9, 2, 12, 12) if build is image_network else (9, 288)
    low, high = (torch.as_tensor(random.normal(size=shape)) for _ in range(2))
    high[0] = low[0]
    labels = (np.arange(12)[:, None] // 3 * 4 + np.arange(12) // 3)[None].repeat(2, axis=0).ravel()
    masks = region_masks(labels, low.device)
    subsets = torch.cat([masks, ~masks, masks[:1] | masks[15:], masks[:1] & ~masks[:1]])
    moved = MovedOutputs.of(outputs, (low[:2],), subsets, 9, 64)
    assert moved.network is not None
    assert set(moved.moving) >= set(range(16))
    assert set(moved.staying) == set(range(16, 32))
    start, stop = random.integers(0, 9, (2, 40))
    stop[:2] = start[:2] = 0
    found = moved.values(((low,), (high,)), (start, stop), outputs((low,)).detach())
    expected = one_by_one(outputs, low[start], high[stop], subsets)
    np.testing.assert_allclose(found, expected, atol=1e-13)
    assert float((expected[:, 0] - expected[:, 40 - 8]).abs().max()) > 1e-3


@pytest.mark.parametrize("n_targets", [2, 5])
def test_slopes_of_pairs_are_the_same_from_all_products_and_from_those_of_two_classes(n_targets):
    given, random = problem(smooth_network(6, n_targets)), np.random.default_rng(4)
    inputs = given.load(np.arange(24))[0]
    start, stop = (tuple(x[part] for x in inputs) for part in (slice(0, 12), slice(12, 24)))
    masks = region_masks(np.arange(6), given.device)
    amount = torch.as_tensor(0.5 * (np.eye(n_targets)[np.arange(12) % n_targets] - np.eye(n_targets)[0]))
    place = torch.as_tensor(random.uniform(size=12))
    both = [_pair_slopes(given, start, stop, place, amount, masks, sparse) for sparse in (False, True)]
    np.testing.assert_allclose(*both, atol=1e-14)
    assert float(both[0].abs().max()) > 0.01


def test_either_way_to_what_regions_do_together_has_the_mean_over_all_pairs():
    """Coupled slopes of all pairs, and slopes of pairs minus changes alone, against quadrature over all pairs."""
    network, labels = smooth_network(6, 2, seed=1), np.array([0, 0, 1, 1, 2, 2])
    samples = Arrays(*toy_samples(16, 6, network))
    given = Problem(Outputs(network), samples, np.arange(16), dtype=torch.float64)
    centre, middle = samples.responses.mean(axis=0), samples.inputs.mean(axis=0)
    rounds = []
    for seed in range(80):
        drawn = Design(BaselinePool(given), labels, np.zeros((2, 6)), centre, middle, 1, False, seed)
        known = [_Known.of(given, rows) for rows in (np.arange(16), np.random.default_rng(seed).permutation(16))]
        moved = drawn.moved(given, given.load(np.arange(1))[0], 16)
        one = _Round(given, drawn, moved, *known, 0, 1)
        masks = region_masks(labels, given.device)
        slopes = (torch.zeros(16, 2, 3, dtype=torch.float64),) * 2  # no line taken off
        own, other = known
        ends, outputs = (other.inputs, own.inputs), (other.outputs, own.outputs)
        alone = drawn.values(moved, ends, one.pairs, outputs)[0]
        centred = (samples.responses - centre)[..., None]
        coupled = centred * one._coupled(one.pairs, one._places(), masks)
        free = one._joint(one.pairs, one._places(), *slopes, masks) - centred * alone.numpy()
        rounds.append([coupled.mean(axis=0), free.mean(axis=0)])
    rounds = np.array(rounds)
    starts, stops = np.tile(samples.inputs, (16, 1)), np.repeat(samples.inputs, 16, axis=0)
    exact = decompose(network, stops, starts, labels, engine="path", pairs=False)
    effects = exact.shared.reshape(16, 16, 2, 3).mean(axis=1)
    expected = ((samples.responses - centre)[..., None] * effects).mean(axis=0)
    error = rounds.std(axis=0) / np.sqrt(len(rounds))
    assert (np.abs(rounds.mean(axis=0) - expected) < 4 * error).all()
    assert (error < 0.5 * np.abs(expected).max()).all()


def test_effects_of_regions_alone_are_exact_when_every_pair_is_met_once_and_lines_of_a_quadratic_model():
    model, labels = quadratic_model(), np.array([0, 0, 1, 1, 2, 2])
    samples = Arrays(*toy_samples(16, 6, model))
    given = Problem(Outputs(model), samples, np.arange(16), dtype=torch.float64)
    centre, middle = samples.responses.mean(axis=0), samples.inputs.mean(axis=0)
    drawn = Design(BaselinePool(given), labels, np.zeros((2, 6)), centre, middle, 16, False, 0)
    known = [_Known.of(given, rows) for rows in (np.arange(16), np.random.default_rng(0).permutation(16))]
    found = (
        _Round(given, drawn, drawn.moved(given, given.load(np.arange(1))[0], 16), *known, 0, 16)
        .contributions()
        .mean(axis=(0, 1))
    )
    starts, stops = np.tile(samples.inputs, (16, 1)), np.repeat(samples.inputs, 16, axis=0)
    exact = decompose(model, stops, starts, labels, engine="sets", pairs=False)
    effects = (exact.independent + 0.5 * exact.first).reshape(16, 16, 2, 3).mean(axis=1)
    expected = ((samples.responses - centre)[..., None] * effects).mean(axis=0)
    np.testing.assert_allclose(found[:, :3], expected, atol=1e-12)
    np.testing.assert_allclose(found[:, 6:9] + found[:, :3], 0, atol=1e-12)  # slopes on the way of all lie on the line


def quadratic_model():
    random = np.random.default_rng(5)
    matrices = random.normal(size=(2, 6, 6))
    return Quadratic(random.normal(size=(2, 6)), matrices + matrices.transpose(0, 2, 1))
