"""Predictions for inputs of which a part was replaced, from what the network computed for the whole ones.

A part that is replaced changes a window of a convolution's output and nothing outside it, so that nothing else is
computed: a layer that is linear adds what the new window gives to what the rest gave, which is known once for all
replacements; an activation acts on the window alone. What follows the first layer that mixes all positions, or one that
is not known here, is run as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from igc.attribution.gradients import Inputs, Outputs, flatten, unflatten
from igc.attribution.prepared import TOLERANCES, WithSlope, prepare, watched
from igc.attribution.standard.layered import ACTIVATIONS
from igc.models.architectures import FlatLinear
from igc.models.layers import ReadoutModel, Standardize

__all__ = ["WindowedNetwork", "windowed"]

Index = npt.NDArray[np.int64]

POINTWISE = (*ACTIVATIONS, WithSlope)
"""Activations."""
IDLE = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
"""Layers that change nothing in evaluation mode."""
CHANNELWISE = (*POINTWISE, nn.BatchNorm2d, Standardize)
"""Layers that treat every position of a feature map alike."""
KERNELS = 4
"""A window of no more than so many kernels is multiplied by a matrix, which is faster than a small convolution."""
MATRIX = 1 << 20
"""Numbers in the largest of these matrices, of which so many as fit into 16 times that are kept."""
PIECE = 1024
"""Windows at a time: what is computed of them stays in the processor's cache."""
TRACE = 1 << 28
"""Numbers in all feature maps of a batch at most."""


@dataclass(frozen=True)
class Span:
    """What a stretch of positions on one axis changes in the output of a convolution or pooling.

    Attributes
    ----------
    start, stop : int
        Positions of the output.
    before, after : int
        Positions to add to the stretch on both sides, so that it makes just these outputs; negative: to take away.
    """

    start: int
    stop: int
    before: int
    after: int

    @classmethod
    def of(cls, stretch: slice, length: int, kernel: int, stride: int, border: int, step: int) -> Span:
        """Follow a stretch into an output of so many positions; the input has a border, the kernel's taps a step."""
        extent = step * (kernel - 1) + 1
        first = max(0, -(-(stretch.start + border - extent + 1) // stride))
        last = min(length, (stretch.stop - 1 + border) // stride + 1)
        seen = (last - 1) * stride - border + extent
        return cls(first, last, stretch.start + border - first * stride, seen - stretch.stop)


Window = tuple[slice, slice]
"""Rows and columns of a feature map."""


def _spans(layer: Any, window: Window, size: Sequence[int]) -> list[Span]:
    """Follow a window into the output of a layer, of so many rows and columns."""
    kernel, stride, step = (_both(getattr(layer, name, 1)) for name in ("kernel_size", "stride", "dilation"))
    border = _both(layer.padding) if layer.padding not in ("same", "valid") else (0, 0)
    if layer.padding == "same":
        border = tuple(d * (k - 1) // 2 for d, k in zip(step, kernel, strict=True))
    columns = zip(window, size, kernel, stride, border, step, strict=True)
    return [Span.of(*column) for column in columns]


def _both(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else (value, value)


def _margins(spans: Sequence[Span]) -> list[int]:
    """Return the spans' margins in the order that torch pads in."""
    rows, columns = spans
    return [columns.before, columns.after, rows.before, rows.after]


@dataclass(frozen=True)
class WindowedNetwork:
    """Layers one after the other, run on windows.

    Attributes
    ----------
    layers : tuple of torch.nn.Module
        In evaluation mode.
    matrices : dict
        Those that take the place of convolutions, by layer, size and place of the window.
    """

    layers: tuple[nn.Module, ...]
    matrices: dict[tuple[Any, ...], Tensor] = field(default_factory=dict)

    def trace(self, inputs: Tensor) -> list[Tensor]:
        """Return the input of every layer for whole inputs, and the output of the last, (row, ...) each."""
        found = [inputs]
        for layer in self.layers:
            found.append(layer(found[-1]))
        return found

    def outputs(self, trace: Sequence[Tensor], rows: Tensor, block: Index, values: Tensor) -> Tensor:
        """Return the outputs for inputs of which some components are replaced.

        Parameters
        ----------
        trace : sequence of torch.Tensor
            From :meth:`trace`.
        rows : torch.Tensor of int (fill,)
            Which of the inputs each replacement is made in.
        block : array of int (member,)
            Components that are replaced.
        values : torch.Tensor (fill, member)
            By what.

        Returns
        -------
        torch.Tensor (fill, output)
        """
        pieces = zip(torch.split(rows, PIECE), torch.split(values, PIECE), strict=True)
        found = [self._piece(trace, some, block, new) for some, new in pieces if len(some)]
        return torch.cat(found) if found else trace[-1][:0]

    def _piece(self, trace: Sequence[Tensor], rows: Tensor, block: Index, values: Tensor) -> Tensor:
        """Return the outputs for some replacements at a time."""
        whole = trace[0]
        members = torch.as_tensor(np.ascontiguousarray(block), device=whole.device)
        if whole.ndim == 2:
            return self._flat(trace, 0, rows, members, values)
        _, *place = np.unravel_index(block, whole.shape[1:])
        window = (
            slice(int(place[0].min()), int(place[0].max()) + 1),
            slice(int(place[1].min()), int(place[1].max()) + 1),
        )
        inside = _numbers(whole, window)
        new = whole[:, :, *window].index_select(0, rows)
        new.flatten(1)[:, torch.searchsorted(inside, members)] = values
        return self._spatial(trace, rows, window, new)

    def _spatial(self, trace: Sequence[Tensor], rows: Tensor, window: Window, new: Tensor) -> Tensor:
        """Go on with windows of images, (fill, channel, row, column)."""
        for number, layer in enumerate(self.layers):
            before, after = trace[number], trace[number + 1]
            if type(layer) in CHANNELWISE:
                new = layer(new)
            elif type(layer) is nn.Flatten:
                return self._flat(trace, number + 1, rows, _numbers(before, window), new.flatten(1))
            elif _is_local(layer):
                spans = _spans(layer, window, after.shape[2:])
                if any(span.start >= span.stop for span in spans):  # a stride may leave positions out
                    return trace[-1].index_select(0, rows)
                reached = slice(spans[0].start, spans[0].stop), slice(spans[1].start, spans[1].stop)
                if type(layer) is nn.MaxPool2d:
                    new = _largest(layer, before, window, spans, rows, new)
                else:
                    others = self._add(number, after[:, :, *reached], before[:, :, *window], spans, -1)
                    new = self._add(number, others.index_select(0, rows), new, spans)
                window = reached
            else:
                full = before.index_select(0, rows)
                full[:, :, *window] = new
                return self._rest(number, full)
        full = trace[-1].index_select(0, rows)
        full[:, :, *window] = new
        return full

    def _flat(self, trace: Sequence[Tensor], first: int, rows: Tensor, index: Tensor, new: Tensor) -> Tensor:
        """Go on at a layer with some components of vectors, (fill, component)."""
        for number, layer in enumerate(self.layers[first:], first):
            before, after = trace[number], trace[number + 1]
            if isinstance(layer, nn.Linear):
                weight = layer.weight[:, index].T
                others = torch.addmm(after, before[:, index], weight, alpha=-1)
                return self._rest(number + 1, torch.addmm(others.index_select(0, rows), new, weight))
            if isinstance(layer, Standardize):
                new = (new - layer.mean[index]) / layer.scale[index]
            elif type(layer) in POINTWISE:
                new = layer(new)
            elif type(layer) is not nn.Flatten:
                full = before.index_select(0, rows)
                full[:, index] = new
                return self._rest(number, full)
        full = trace[-1].index_select(0, rows)
        full[:, index] = new
        return full

    def _rest(self, number: int, full: Tensor) -> Tensor:
        for layer in self.layers[number:]:
            full = layer(full)
        return full

    def _add(self, number: int, onto: Tensor, new: Tensor, spans: Sequence[Span], sign: int = 1) -> Tensor:
        """Add what windows give to the output of a linear layer, whose bias is left out."""
        layer: Any = self.layers[number]
        kernel, n = _both(layer.kernel_size), new[0].numel()
        if new[0, 0].numel() > KERNELS * kernel[0] * kernel[1] or n * onto[0].numel() > MATRIX:
            return onto + sign * _applied(layer, new, spans)
        key = (number, *new.shape[1:], *onto.shape[1:], *_margins(spans))
        if key not in self.matrices:
            each = torch.eye(n, dtype=new.dtype, device=new.device).reshape(n, *new.shape[1:])
            if sum(matrix.numel() for matrix in self.matrices.values()) > 16 * MATRIX:
                self.matrices.clear()
            self.matrices[key] = _applied(layer, each, spans).flatten(1)
        return torch.addmm(onto.flatten(1), new.flatten(1), self.matrices[key], alpha=sign).reshape(onto.shape)


def _numbers(maps: Tensor, window: Window) -> Tensor:
    """Return which components of flattened maps (row, channel, row, column) are in a window, increasing."""
    every = torch.arange(maps[0].numel(), device=maps.device).reshape(maps.shape[1:])
    return every[:, *window].reshape(-1).contiguous()


def _is_local(layer: Any) -> bool:
    """Say whether a layer is one of those that :func:`_spans` can follow."""
    if type(layer) is nn.Conv2d:
        return layer.padding_mode == "zeros"
    if type(layer) is nn.AvgPool2d:
        return not layer.ceil_mode and (layer.count_include_pad or layer.padding in (0, (0, 0)))
    return type(layer) is nn.MaxPool2d and not layer.ceil_mode and not layer.return_indices


def _applied(layer: Any, new: Tensor, spans: Sequence[Span]) -> Tensor:
    """Return what a linear layer makes of windows with nothing around them."""
    alone = functional.pad(new, _margins(spans))
    if type(layer) is nn.AvgPool2d:
        return functional.avg_pool2d(alone, layer.kernel_size, layer.stride, divisor_override=layer.divisor_override)
    return functional.conv2d(alone, layer.weight, None, layer.stride, 0, layer.dilation, layer.groups)


def _largest(
    layer: nn.MaxPool2d, before: Tensor, window: Window, spans: Sequence[Span], rows: Tensor, new: Tensor
) -> Tensor:
    """Return the maxima over windows that are put back into their surroundings."""
    margins = _margins(spans)
    border = _both(layer.padding)
    edges = [edge for side in reversed(border) for edge in (side, side)]
    around = [
        slice(part.start - span.before + side, part.stop + span.after + side)
        for part, span, side in zip(window, spans, border, strict=True)
    ]
    surroundings = functional.pad(before, edges, value=-torch.inf)[:, :, *around]
    inside = functional.pad(torch.ones_like(new[:1], dtype=torch.bool), margins)
    filled = torch.where(inside, functional.pad(new, margins), surroundings.index_select(0, rows))
    return functional.max_pool2d(filled, layer.kernel_size, layer.stride, 0, layer.dilation)


def _sequence(module: nn.Module) -> list[nn.Module]:
    """Return the layers that a module runs one after the other; itself, where that is not known."""
    if type(module) is nn.Sequential:
        return [layer for part in module for layer in _sequence(part)]
    if type(module) is ReadoutModel:
        return [module.standardize, *_sequence(module.body), module.readout]
    if type(module) is FlatLinear:
        return [nn.Flatten(), module.readout]
    if type(module) in IDLE:
        return []
    if getattr(module, "inplace", False):  # what a layer was given is kept
        module = copy.copy(module)
        module.inplace = False  # type: ignore[assignment]
    return [module]


def _gains(layers: Sequence[nn.Module], flat: bool) -> bool:
    """Say whether a layer that costs much comes before the first that is not known."""
    for layer in layers:
        if isinstance(layer, nn.Linear) or (_is_local(layer) and not flat):
            return True
        if type(layer) not in (*CHANNELWISE, nn.Flatten):
            return False
    return False


def windowed(outputs: Outputs, inputs: Inputs, blocks: Sequence[Index], rows: int) -> WindowedNetwork | None:
    """Return a model as a network that is run on windows.

    Parameters
    ----------
    outputs : Outputs
        The model; all its raw outputs.
    inputs : tuple of torch.Tensor
        A few samples. With parts replaced, the network must predict what the model does.
    blocks : sequence of array of int (member,)
        What is to be replaced.
    rows : int
        Samples that are traced together.

    Returns
    -------
    WindowedNetwork, optional
        None where the model has another form, or nothing would be gained.
    """
    model = getattr(outputs.model, "module", outputs.model)
    if not isinstance(model, nn.Module) or len(inputs) > 1 or inputs[0].ndim not in (2, 4):
        return None
    if any(part.training or watched(part) for part in model.modules()):
        return None
    prepared: Any = prepare(outputs, inputs).model
    layers = _sequence(getattr(prepared, "module", prepared))
    if not _gains(layers, inputs[0].ndim == 2):
        return None
    network = WindowedNetwork(tuple(layers))
    with torch.no_grad():
        trace = network.trace(inputs[0])
        if rows * sum(maps[0].numel() for maps in trace) > TRACE:
            return None
        return network if _agrees(network, trace, outputs, inputs, blocks) else None


def _agrees(
    network: WindowedNetwork, trace: Sequence[Tensor], outputs: Outputs, inputs: Inputs, blocks: Sequence[Index]
) -> bool:
    """Say whether the first, middle and last block, turned over, give what the model predicts."""
    flat = flatten(inputs)
    rows = torch.arange(len(flat), device=flat.device)
    for block in (blocks[0], blocks[len(blocks) // 2], blocks[-1]):
        filled = flat.clone()
        filled[:, torch.as_tensor(block, device=flat.device)] = values = 1 + flat.amax() - flat[:, block]
        expected = outputs(unflatten(filled, inputs))
        try:
            found = network.outputs(trace, rows, block, values)
        except RuntimeError:  # sizes that do not fit: a layer does not do what its kind says
            return False
        allowed = TOLERANCES.get(expected.dtype, 0.0) * expected.abs().amax()
        if found.shape != expected.shape or not bool(((found - expected).abs() <= allowed).all()):
            return False
    return True
