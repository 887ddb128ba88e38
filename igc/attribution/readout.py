"""A linear last layer, found in any module: gradients of few latents then serve any number of outputs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from igc.attribution.gradients import Inputs, Outputs

__all__ = ["Readout", "find_readout"]


class _Reached(Exception):  # noqa: N818
    """Carries the latents out of a forward pass, whose last layer need not be computed."""

    def __init__(self, latents: Tensor) -> None:
        super().__init__()
        self.latents = latents


@contextmanager
def _before(layer: nn.Module, act: Any) -> Iterator[None]:
    """Call ``act`` with the input of a layer, in this thread alone."""
    own = threading.get_ident()

    def hook(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if threading.get_ident() == own:
            act(arguments[0])

    handle = layer.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@dataclass(frozen=True)
class Readout:
    """The split of a model into latents and a linear map.

    Attributes
    ----------
    outputs : Outputs
        What is explained.
    layer : torch.nn.Linear
        The last layer.
    """

    outputs: Outputs
    layer: nn.Linear

    @property
    def weight(self) -> Tensor:
        """Weights of the explained outputs, (target, latent)."""
        chosen = self.outputs.targets
        weight = self.layer.weight.detach()
        return weight if chosen is None else weight[list(chosen)]

    def latents(self, inputs: Inputs) -> Tensor:
        """Return the input of the last layer, (batch, latent)."""

        def stop(latents: Tensor) -> None:
            raise _Reached(latents)

        with _before(self.layer, stop):
            try:
                self.outputs.model(*inputs)
            except _Reached as reached:
                return reached.latents
        message = "the last layer was not reached"
        raise RuntimeError(message)


def find_readout(outputs: Outputs, inputs: Inputs) -> Readout | None:
    """Look for a linear layer whose output is the model's raw output.

    Parameters
    ----------
    outputs : Outputs
        What is explained; only raw outputs are linear in the latents.
    inputs : tuple of torch.Tensor
        A few samples to try.

    Returns
    -------
    Readout or None
        None where the model is no module, or does not end in such a layer.
    """
    model = getattr(outputs.model, "module", outputs.model)
    if not isinstance(model, nn.Module) or outputs.output != "raw":
        return None
    seen: dict[nn.Linear, list[Tensor]] = {}
    handles = [
        layer.register_forward_hook(lambda module, _, result: seen.setdefault(module, []).append(result))
        for layer in model.modules()
        if isinstance(layer, nn.Linear)
    ]
    try:
        with torch.no_grad():
            final = outputs.model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    for layer, results in seen.items():
        if len(results) == 1 and results[0].ndim == 2 and results[0] is final:
            return Readout(outputs, layer)
    return None
