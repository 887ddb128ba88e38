"""TensorFloat-32 is allowed only where it leaves Integrated Gradients complete, and flags are restored."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from igc.attribution.gradients import Outputs
from igc.attribution.problem import Problem, group_blocks
from igc.steps import precision
from igc.steps.sources import ArraySource
from igc.testing.probes import smooth_network, toy_samples


def problem_of(model):
    inputs, responses = toy_samples(60, 5, smooth_network(5, 3))
    source = ArraySource((inputs.astype(np.float32),), responses, np.arange(60))
    return Problem(Outputs(model), source, group_blocks(None, 60), dtype=torch.float32)


def flags():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("tf32", [True, False])
def test_flags_are_set_and_restored(tf32):
    before = flags()
    with precision.products_in_float32(tf32):
        assert flags() == (tf32, tf32)
    assert flags() == before


def test_the_gap_is_that_of_the_gradients(monkeypatch):
    monkeypatch.setattr(precision, "NODES", 32)
    model = smooth_network(5, 3).float()
    assert precision.completeness_gap(problem_of(model)) < 1e-5

    class Rounded(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 1.05

    wrong = problem_of(lambda x: model(Rounded.apply(x)))
    assert precision.completeness_gap(wrong) == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize(("error", "allowed"), [(5e-4, True), (5e-3, False)])
def test_rounding_is_allowed_only_where_maps_stay_complete(monkeypatch, error, allowed):
    problem = problem_of(smooth_network(5, 3).float())
    assert not precision.allows_tf32(problem)  # no GPU, nothing to gain
    monkeypatch.setattr(precision, "completeness_gap", lambda _: error if flags()[0] else 1e-6)
    on_gpu = replace(problem, device=torch.device("cuda"))
    assert precision.allows_tf32(on_gpu) is allowed
    assert not precision.allows_tf32(replace(on_gpu, dtype=torch.float64))
