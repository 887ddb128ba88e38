"""The model as the engine differentiates it: the same function, with less work in every vector-Jacobian product.

In evaluation mode a batch normalisation is a fixed scaling, which the layer before it can take over. And the slope of
an activation is the same in all products of one forward pass: it is computed once and kept.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from igc.attribution.gradients import Inputs, Outputs
from igc.attribution.mish import mish, mish_with_slope

__all__ = ["TOLERANCES", "WithSlope", "prepare", "watched"]

ACTIVATIONS = (nn.Mish, nn.GELU, nn.SiLU, nn.ELU, nn.Softplus)
"""Those whose slope costs much more than one multiplication."""
CONVOLUTIONS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: nn.BatchNorm1d,
    nn.Conv2d: nn.BatchNorm2d,
    nn.Conv3d: nn.BatchNorm3d,
}
TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-10}
"""How far the outputs for a few samples may differ from those of the model, over the largest."""


class _Kept(torch.autograd.Function):
    """An activation that keeps its slope in place of its input."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, activation: nn.Module) -> Tensor:
        if _quick(activation, inputs):
            values, slope = mish_with_slope(inputs.detach())
            ctx.save_for_backward(slope)
            return values
        leaf = inputs.detach().requires_grad_()
        with torch.enable_grad():
            values = activation(leaf)
        (slope,) = torch.autograd.grad(values, leaf, torch.ones_like(values))
        ctx.save_for_backward(slope)
        plain: Tensor = values.detach()
        return plain

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return gradient * slope, None


class WithSlope(nn.Module):
    """An activation that keeps its slope where gradients are wanted.

    Parameters
    ----------
    activation : torch.nn.Module
    """

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the activation does, (batch, ...)."""
        if not torch.is_grad_enabled() and _quick(self.activation, inputs):
            return mish(inputs)
        if not (torch.is_grad_enabled() and inputs.requires_grad):
            found: Tensor = self.activation(inputs)
            return found
        kept: Tensor = _Kept.apply(inputs, self.activation)  # type: ignore[no-untyped-call]
        return kept


def _quick(activation: nn.Module, inputs: Tensor) -> bool:
    """Say whether own code computes an activation faster."""
    return type(activation) is nn.Mish and inputs.device.type == "cpu"


def prepare(outputs: Outputs, inputs: Inputs) -> Outputs:
    """Return outputs of the same values, several vector-Jacobian products of which cost less.

    Parameters
    ----------
    outputs : Outputs
        What is explained.
    inputs : tuple of torch.Tensor
        A few samples, on which the outputs must be the same.

    Returns
    -------
    Outputs
        The same ones where there is nothing to gain, or where the model uses its layers in another way than one after
        the other.
    """
    model = getattr(outputs.model, "module", outputs.model)
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule) or model.training:
        return outputs
    changed = _changed(model)
    if changed is model:
        return outputs
    prepared = replace(outputs, model=changed)
    with torch.no_grad():
        expected = outputs(inputs)
        try:
            found = prepared(inputs)
        except (AttributeError, TypeError, RuntimeError):  # the model reads what its layers no longer have
            return outputs
    allowed = TOLERANCES.get(expected.dtype, 0.0) * expected.abs().amax()
    return prepared if bool(((found - expected).abs() <= allowed).all()) else outputs


def watched(module: nn.Module) -> bool:
    """Say whether somebody looks at what goes through a module, or computes its weights.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    bool
    """
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, name) for name in hooks) or hasattr(module, "parametrizations")


def _changed(module: nn.Module) -> nn.Module:
    """Return a module that shares its tensors and has other layers, or the same one if there is nothing to change."""
    if watched(module) or type(module) is WithSlope:
        return module
    if type(module) in ACTIVATIONS:
        return module if getattr(module, "inplace", False) else WithSlope(module).eval()
    layers = {name: layer if layer is None else _changed(layer) for name, layer in module._modules.items()}
    if type(module) is nn.Sequential:
        layers = _folded(layers)
    if all(layers[name] is layer for name, layer in module._modules.items()):
        return module
    other = copy.copy(module)
    other._modules = layers
    return other


def _folded(layers: dict[str, nn.Module | None]) -> dict[str, nn.Module | None]:
    """Let convolutions and linear layers take over the batch normalisations that follow them."""
    names, folded = list(layers), dict(layers)
    for name, following in pairwise(names):
        layer, norm = folded[name], folded[following]
        if layer is None or norm is None or not _fixed(norm) or watched(layer) or watched(norm):
            continue
        if CONVOLUTIONS.get(type(layer)) is type(norm):
            folded[name] = fuse_conv_bn_eval(layer, norm)  # type: ignore[arg-type, type-var]
        elif type(layer) is nn.Linear and type(norm) is nn.BatchNorm1d:
            folded[name] = fuse_linear_bn_eval(layer, norm)
        else:
            continue
        folded[following] = nn.Identity().eval()
    return folded


def _fixed(norm: nn.Module) -> bool:
    """Say whether a module is a normalisation by fixed statistics."""
    known = isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d))
    return known and not norm.training and getattr(norm, "running_mean", None) is not None
