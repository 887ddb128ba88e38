"""What layer-wise methods need of a model: a copy whose hooks are theirs alone, and layers that they know."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from torch import Tensor, fx, nn

from igc.attribution.embedding import EmbeddedModel
from igc.attribution.gradients import Outputs
from igc.errors import MethodError, explain

__all__ = [
    "ACTIVATIONS",
    "SUMS",
    "RowModel",
    "check_graph",
    "is_known",
    "is_sum",
    "layers_of",
    "own_copy",
    "raw_module",
]

ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish),
    *(nn.Softplus, nn.Softsign, nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Hardtanh, nn.Tanhshrink),
)
"""Layers that act on each component by itself."""

SUMS = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
)
"""Layers whose outputs are weighted sums of inputs, in evaluation mode; of one input for the largest of several."""

ROUTING = {"flatten", "reshape", "view", "contiguous", "permute", "transpose", "squeeze", "unsqueeze", "cat", "stack"}
"""Operations that only move numbers about, through which relevance passes as it is."""


class RowModel(nn.Module):
    """A model with one row of outputs a sample, under a root of its own: captum looks only at what is below a root.

    Parameters
    ----------
    model : torch.nn.Module
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return (batch, target)."""
        raw: Tensor = self.model(*inputs)
        return raw if raw.ndim == 2 else raw[:, None]


def raw_module(name: str, outputs: Outputs) -> nn.Module:
    """Return the module whose raw outputs are explained.

    Parameters
    ----------
    name : str
        The method, for messages.
    outputs : Outputs
        What is explained.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    MethodError
        If it is no module, or not its raw outputs are explained.
    """
    if outputs.output != "raw":
        remedy = "explain the raw outputs: the method goes through layers"
        raise MethodError(explain(f"{name}: output", repr(outputs.output), "raw", remedy))
    if isinstance(outputs.model, EmbeddedModel):
        raise MethodError(explain(f"{name}: model", "tokens", "inputs of numbers", "use integrated_gradients"))
    module = getattr(outputs.model, "module", outputs.model)
    if not isinstance(module, nn.Module):
        seen = type(outputs.model).__name__
        raise MethodError(explain(f"{name}: model", seen, "a torch.nn.Module", "use occlusion, which needs no layers"))
    return module


def own_copy(module: nn.Module) -> RowModel:
    """Return a copy to hang hooks on: the model may be in use by another thread, and stays as it is."""
    return RowModel(copy.deepcopy(module)).eval().requires_grad_(False)


def layers_of(module: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    """Yield the layers without parts, with their names."""
    return ((name or "model", layer) for name, layer in module.named_modules() if not list(layer.children()))


def is_sum(layer: nn.Module) -> bool:
    """Say whether a layer is a weighted sum of its input."""
    from igc.models.layers import Standardize  # a notebook that brings its own model does not wait for ours

    return type(layer) in (*SUMS, Standardize)


def is_known(layer: nn.Module) -> bool:
    """Say whether a layer is a weighted sum, or acts on each component by itself."""
    return type(layer) in ACTIVATIONS or is_sum(layer)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Stop at layers without parts."""
        return not list(m.children())


def check_graph(name: str, module: nn.Module) -> None:
    """Refuse a model that is more than known layers after one another.

    Parameters
    ----------
    name : str
        The method, for messages.
    module : torch.nn.Module
        The model.

    Raises
    ------
    MethodError
        Naming what the method does not know, and what to do.
    """
    remedy = "use deeplift or integrated_gradients, or build the model of known layers"
    for title, layer in layers_of(module):
        if not is_known(layer):
            raise MethodError(explain(f"{name}: layer {title}", type(layer).__name__, _names(), remedy))
    if not list(module.children()):
        return
    try:
        graph = _Tracer().trace(module)
    except Exception as error:  # whatever the model's own code raises on a symbol
        seen = f"a forward pass that cannot be followed ({str(error).splitlines()[0][:80]})"
        raise MethodError(explain(f"{name}: model", seen, "layers after one another", remedy)) from error
    called: set[str] = set()
    for node in graph.nodes:
        if node.op == "call_module":
            if str(node.target) in called:
                seen = f"layer {node.target} called twice"
                raise MethodError(explain(f"{name}: model", seen, "each layer once", remedy))
            called.add(str(node.target))
        elif node.op in {"call_function", "call_method", "get_attr"}:
            operation = _title(node.target)
            if operation not in ROUTING:
                raise MethodError(explain(f"{name}: model", f"{operation} outside of a layer", _names(), remedy))


def _title(target: Any) -> str:
    return str(getattr(target, "__name__", target))


def _names() -> str:
    return ", ".join(kind.__name__ for kind in (nn.Linear, nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.ReLU)) + " ..."
