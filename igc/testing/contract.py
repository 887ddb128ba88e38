"""The contract of every attribution method, as checks that take its name. Each raises AssertionError when broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import xarray as xr

from igc.attribution.registry import METHODS
from igc.errors import IgcError
from igc.steps.attribute import attribute
from igc.testing.probes import linear_model, smooth_network, toy_samples

__all__ = ["CHECKS", "check_method"]

N_SAMPLES, N_COMPONENTS, N_TARGETS, IGNORED = 150, 7, 3, 4


def _case(name: str) -> tuple[torch.nn.Module, tuple[Any, Any]]:
    """Return a model that the method can explain, which ignores one component, and samples."""
    model = smooth_network(N_COMPONENTS, N_TARGETS, ignored=IGNORED)
    if METHODS[name].needs == "linear model":
        weights = np.random.default_rng(3).normal(size=(N_TARGETS, N_COMPONENTS))
        weights[:, IGNORED] = 0
        model = linear_model(weights, 0.3)
    return model, toy_samples(N_SAMPLES, N_COMPONENTS, model)


def _run(name: str, model: Any, samples: Any, **options: Any) -> xr.Dataset:
    return attribute(model, samples, name, progress=False, **options)


def _same(first: xr.Dataset, second: xr.Dataset, tolerance: float = 1e-10) -> None:
    scale = float(np.abs(first["attribution"]).max())
    np.testing.assert_allclose(second["attribution"], first["attribution"], rtol=0, atol=tolerance * scale)


def check_shape_and_finiteness(name: str) -> None:
    """Require one finite map a target, of the shape of the input."""
    model, samples = _case(name)
    result = _run(name, model, samples)
    assert result["attribution"].shape == (N_TARGETS, N_COMPONENTS)
    assert result["attribution"].dtype == np.float64
    assert bool(np.isfinite(result["attribution"]).all())
    assert bool((result["estimator_error"] >= 0).all())


def check_model_is_left_unchanged(name: str) -> None:
    """Require that mode, weights, gradients and flags of the model are as before."""
    model, samples = _case(name)
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    _run(name, model, samples)
    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())


def check_batch_size_does_not_matter(name: str) -> None:
    """Require the same map from any micro-batch, ragged ones too."""
    model, samples = _case(name)
    reference = _run(name, model, samples, points=3)
    for size in (1, 37, 1000):
        _same(reference, _run(name, model, samples, points=3, batch_size=size))


def check_seed_repeats(name: str) -> None:
    """Require the same bits from the same seed."""
    model, samples = _case(name)
    first, second = (_run(name, model, samples, seed=5, points=2) for _ in range(2))
    np.testing.assert_array_equal(first["attribution"], second["attribution"])


def check_ignored_input_gets_nothing(name: str) -> None:
    """Require exactly zero for a component the model does not use (data methods look at no model)."""
    if METHODS[name].needs == "data" or not METHODS[name].only_used:
        return
    model, samples = _case(name)
    result = _run(name, model, samples)
    np.testing.assert_array_equal(result["attribution"][:, IGNORED], 0.0)


def check_maps_sum_to_what_is_promised(name: str) -> None:
    """Require of a method that promises a sum to keep it, for components and for regions."""
    closes_to = METHODS[name].closes_to
    if closes_to is None:
        return
    model, samples = _case(name)
    labels = np.array([1, 1, 2, 0, 2, 0, 3])
    result = _run(name, model, samples, rois={"parts": labels})
    total = result["score"] if closes_to == "score" else np.ones(N_TARGETS)
    np.testing.assert_allclose(result["attribution"].sum("voxel"), total, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result["roi_attribution"].sum("roi"), total, rtol=0, atol=1e-12)


def check_regions_are_sums_of_components(name: str) -> None:
    """Require that what is formed for a region is the sum of its components."""
    model, samples = _case(name)
    labels = np.array([1, 1, 2, 0, 2, 0, 3])
    result = _run(name, model, samples, rois={"parts": labels})
    expected = np.stack([result["attribution"].values[:, labels == k].sum(axis=1) for k in (1, 2, 3, 0)], axis=1)
    np.testing.assert_allclose(result["roi_attribution"], expected, rtol=0, atol=1e-12)


def check_targets_can_be_chosen(name: str) -> None:
    """Require that explaining some outputs gives their rows."""
    model, samples = _case(name)
    whole = _run(name, model, samples, baselines="mean")
    some = _run(name, model, samples, baselines="mean", targets=[2, 0])
    np.testing.assert_allclose(some["attribution"], whole["attribution"][[2, 0]], rtol=0, atol=1e-6)


def check_wrong_shapes_are_refused(name: str) -> None:
    """Require one clear line for responses that do not fit the outputs."""
    model, (inputs, responses) = _case(name)
    message = ""
    try:
        _run(name, model, (inputs, responses[:, :2]))
    except IgcError as error:
        message = str(error)
    assert message
    assert "\n" not in message


CHECKS: tuple[Callable[[str], None], ...] = (
    check_shape_and_finiteness,
    check_model_is_left_unchanged,
    check_batch_size_does_not_matter,
    check_seed_repeats,
    check_ignored_input_gets_nothing,
    check_maps_sum_to_what_is_promised,
    check_regions_are_sums_of_components,
    check_targets_can_be_chosen,
    check_wrong_shapes_are_refused,
)
"""All checks; each takes the name of a registered method."""


def check_method(name: str) -> None:
    """Run every check on a registered method.

    Parameters
    ----------
    name : str
        A key of :data:`igc.attribution.registry.METHODS`.
    """
    for check in CHECKS:
        check(name)
