"""The layer of a bottleneck: found, read, replaced, and measured over a dataset."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import get_ident
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from igc.attribution.bottleneck.optimize import Signal
from igc.attribution.gradients import Inputs, Outputs, flatten
from igc.attribution.problem import Problem
from igc.errors import MethodError, explain
from igc.stats.moments import Array, Moments

__all__ = [
    "INPUT",
    "Layer",
    "Statistics",
    "choose_layer",
    "feature_statistics",
    "input_statistics",
    "layer_shapes",
    "split_inputs",
]

logger = logging.getLogger(__name__)

INPUT = "input"
"""Name of the layer that is the input itself."""
ACTIVE_SHARE = 0.01
"""A feature that is not zero in more than this share of the samples is active."""
SMALLEST_DEVIATION = 0.01
"""Standard deviations are at least this share of the root mean square of them all."""
STATISTICS_SAMPLES = 10_000
COARSEST, FEWEST_PIXELS = 8, 5


class _Reached(Exception):  # noqa: N818
    """Carries features out of a forward pass, whose rest need not be computed."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features


def _module(outputs: Outputs) -> nn.Module | None:
    model = getattr(outputs.model, "module", outputs.model)
    return model if isinstance(model, nn.Module) else None


@contextmanager
def _after(layer: nn.Module, act: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """Call ``act`` with the output of a layer, in this thread alone; what it returns takes the output's place."""
    own = get_ident()

    def hook(_module: nn.Module, _arguments: Any, result: Tensor) -> Tensor | None:
        return act(result) if get_ident() == own else None

    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def layer_shapes(outputs: Outputs, inputs: Inputs) -> dict[str, tuple[int, ...]]:
    """Return the layers that a bottleneck can be put behind, with the shapes of their features.

    Parameters
    ----------
    outputs : Outputs
        What is explained; nothing is found in a model that is no module.
    inputs : tuple of torch.Tensor
        A few samples.

    Returns
    -------
    dict of str to tuple of int
        Modules without children that are called once, give a tensor of one row a sample, and do something; in the
        order of the calls.
    """
    module = _module(outputs)
    if module is None:
        return {}
    calls: dict[str, int] = {}
    shapes: dict[str, tuple[int, ...]] = {}

    def record(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, arguments: Any, result: Any) -> None:
            calls[name] = calls.get(name, 0) + 1
            given = arguments[0] if arguments and isinstance(arguments[0], Tensor) else None
            moved = given is None or not isinstance(result, Tensor) or given.data_ptr() != result.data_ptr()
            if isinstance(result, Tensor) and result.ndim > 1 and len(result) == len(inputs[0]) and moved:
                shapes[name] = tuple(result.shape[1:])

        return hook

    leaves = [(name, layer) for name, layer in module.named_modules() if name and not any(layer.children())]
    handles = [layer.register_forward_hook(record(name)) for name, layer in leaves]
    try:
        with torch.no_grad():
            outputs.model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return {name: shape for name, shape in shapes.items() if calls[name] == 1}


def choose_layer(
    choice: str | None, shapes: Mapping[str, tuple[int, ...]], inputs: tuple[tuple[int, ...], ...], laid_out: bool
) -> str:
    """Return the layer of the feature bottleneck.

    Parameters
    ----------
    choice : str, optional
        Name of a layer, or "input"; default: of an image model, the last layer of features (channel, row, column)
        that has at least an eighth of the rows of the image, and five; else the input itself where the layer must be
        laid out as the input is, and the first layer of another shape where not.
    shapes : mapping of str to tuple of int
        From :func:`layer_shapes`.
    inputs : tuple of tuple of int
        Shapes of the inputs.
    laid_out : bool
        Whether the place of a feature must say which component of the input it is about.

    Returns
    -------
    str

    Raises
    ------
    MethodError
        If there is no such layer, or it has no layout.
    """
    fits = {name: shape for name, shape in shapes.items() if not laid_out or _laid_out(shape, inputs)}
    if choice is not None:
        if choice != INPUT and choice not in fits:
            allowed = ", ".join([INPUT, *fits])
            remedy = "name one of them" + (", whose features are laid out as the input is" if laid_out else "")
            raise MethodError(explain("layer", repr(choice), allowed, remedy))
        return choice
    if len(inputs) == 1 and len(inputs[0]) == 3:
        rows = inputs[0][1]
        good = [n for n, s in fits.items() if len(s) == 3 and s[1] >= max(FEWEST_PIXELS, rows / COARSEST)]
        found = [name for name in good if fits[name] != inputs[0]]
        chosen = found[-1] if found else INPUT
    else:
        found = [] if laid_out else [name for name, shape in fits.items() if (shape,) != inputs]
        chosen = found[0] if found else INPUT
    logger.info("bottleneck at the layer %r", chosen)
    return chosen


def _laid_out(shape: tuple[int, ...], inputs: tuple[tuple[int, ...], ...]) -> bool:
    return len(inputs) == 1 and (shape == inputs[0] or len(shape) == len(inputs[0]) == 3)


@dataclass(frozen=True)
class Statistics:
    """Mean, standard deviation and activity of features over a dataset.

    Attributes
    ----------
    mean, deviation : array (component,)
        Of the noise that takes the place of features.
    active : array of bool (component,)
        Features that vary, and are not zero nearly everywhere.
    shape : tuple of int
        Of the features of one sample.
    """

    mean: Array
    deviation: Array
    active: np.ndarray[Any, np.dtype[np.bool_]]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, mean: Array, deviation: Array, nonzero: Array, shape: tuple[int, ...]) -> Statistics:
        """Hold standard deviations above a share of their root mean square, so that nothing is divided by zero."""
        typical = float(np.sqrt(np.mean(deviation**2))) or 1.0
        # where a mean is large against its spread, rounding in float32 leaves a spread that is none
        varies = deviation > 1e-6 * np.maximum(typical, np.abs(mean))
        held = np.maximum(deviation, SMALLEST_DEVIATION * typical)
        return cls(mean, held, varies & (nonzero > ACTIVE_SHARE), shape)

    def signal(self, values: Tensor) -> Signal:
        """Return features (sample, ...) as the signal of a bottleneck."""
        mean, deviation = (
            torch.as_tensor(x, dtype=values.dtype, device=values.device) for x in (self.mean, self.deviation)
        )
        return Signal(values.flatten(1), mean, deviation, torch.as_tensor(self.active, device=values.device))


@dataclass(frozen=True)
class Layer:
    """A layer of a model by name, whose features can be read and replaced.

    Attributes
    ----------
    name : str
        Of a module of the model, or "input".
    shape : tuple of int
        Of the features of one sample; those of the input are flattened.
    alone : bool
        Whether the features alone decide the output, so that the layers before need not run for each point. False
        where the input goes past the layer.
    """

    name: str
    shape: tuple[int, ...]
    alone: bool = True

    @classmethod
    def of(cls, name: str, outputs: Outputs, inputs: Inputs) -> Layer:
        """Look whether features of some samples give their outputs behind the input of the first sample, too."""
        with torch.no_grad():
            whole = outputs(inputs)
            features = cls(name, ()).features(outputs, inputs)
            layer = cls(name, tuple(features.shape[1:]), alone=len(inputs[0]) > 1)
            if name == INPUT or not layer.alone:
                return layer
            try:
                replaced = layer.outputs(outputs, inputs)((features.flatten(1),))
            except (RuntimeError, ValueError):  # a layer behind it knows the number of samples
                return cls(name, layer.shape, alone=False)
        return cls(name, layer.shape, alone=torch.allclose(replaced, whole, rtol=1e-4, atol=1e-6))

    def features(self, outputs: Outputs, inputs: Inputs) -> Tensor:
        """Return the features of samples, (sample, ...); layers behind it are not run."""
        module = _module(outputs)
        if self.name == INPUT or module is None:
            return flatten(inputs)

        def stop(features: Tensor) -> None:
            raise _Reached(features)

        with _after(module.get_submodule(self.name), stop):
            try:
                outputs.model(*inputs)
            except _Reached as reached:
                return reached.features
        raise MethodError(explain("layer", repr(self.name), "a layer that the model runs", "name another"))

    def outputs(self, outputs: Outputs, inputs: Inputs, n_maps: int = 1) -> Outputs:
        """Return the model as a function of features.

        Parameters
        ----------
        outputs : Outputs
            The model as a function of the input.
        inputs : tuple of torch.Tensor
            The samples whose features will be given.
        n_maps : int
            Points of a sample that follow one another.

        Returns
        -------
        Outputs
            Takes one tensor (point, component), the points ordered as (draw, sample, map).
        """
        module = _module(outputs)
        if self.name == INPUT or module is None:
            return Outputs(lambda points: outputs.model(*split_inputs(points, inputs)), outputs.output, outputs.targets)

        def rest(points: Tensor) -> Any:
            before = tuple(x[:1] for x in inputs)
            if not self.alone:
                each = (x.repeat_interleave(n_maps, dim=0) for x in inputs)
                before = tuple(x.repeat(len(points) // len(x), *[1] * (x.ndim - 1)) for x in each)
            with _after(module.get_submodule(self.name), lambda _: points.reshape(-1, *self.shape)):
                return outputs.model(*before)

        return Outputs(rest, outputs.output, outputs.targets)


def split_inputs(points: Tensor, like: Inputs) -> Inputs:
    """Return flattened points (point, component) in the shapes of the inputs."""
    parts = torch.split(points, [x[0].numel() for x in like], dim=1)
    return tuple(part.reshape(-1, *x.shape[1:]) for part, x in zip(parts, like, strict=True))


def feature_statistics(problem: Problem, layer: Layer) -> Statistics:
    """Measure the features of a layer in one pass over the samples, or over evenly spread ones of very many.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    layer : Layer
        Whose features.

    Returns
    -------
    Statistics
    """
    mean, variance, nonzero = _measured(problem, layer)
    return Statistics.of(mean, np.sqrt(variance), nonzero, layer.shape)


def input_statistics(problem: Problem) -> Statistics:
    """Measure the inputs: each component, or each channel of an input of several axes.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.

    Returns
    -------
    Statistics
        Of the components of all inputs. A pixel that never varies still gets noise, as its channel does.
    """
    shapes, parts = problem.source.input_shapes, []
    means, variances, _ = _measured(problem, Layer(INPUT, (problem.n_components,)))
    edges = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    for mean, variance, shape in zip(np.split(means, edges), np.split(variances, edges), shapes, strict=True):
        if len(shape) > 1:
            channels, spreads = mean.reshape(shape[0], -1), variance.reshape(shape[0], -1)
            pooled = spreads.mean(axis=1) + channels.var(axis=1)
            size = channels.shape[1]
            parts.append((np.repeat(channels.mean(axis=1), size), np.repeat(pooled, size)))
        else:
            parts.append((mean, variance))
    mean, variance = (np.concatenate(column) for column in zip(*parts, strict=True))
    shape = shapes[0] if len(shapes) == 1 else (len(mean),)
    return Statistics.of(mean, np.sqrt(variance), np.ones(len(mean)), shape)


def _measured(problem: Problem, layer: Layer) -> tuple[Array, Array, Array]:
    """Return mean, variance and share of samples that are not zero of each feature, (feature,) each."""
    n = problem.n_samples
    rows = np.unique(np.linspace(0, n - 1, min(n, STATISTICS_SAMPLES)).round().astype(np.int64))
    total: Moments | None = None
    nonzero = np.zeros(())
    for start in range(0, len(rows), problem.block_size):
        inputs = problem.load(rows[start : start + problem.block_size])[0]
        for batch in problem.batches(len(inputs[0])):
            with torch.no_grad():
                features = layer.features(problem.outputs, tuple(x[batch] for x in inputs))
            flat = features.flatten(1).double().cpu().numpy()
            nonzero = nonzero + (flat != 0).sum(axis=0)
            part = Moments.of(np.zeros((len(flat), 1, 1)), flat[:, None])
            total = part if total is None else total.merge(part)
    if total is None:
        raise MethodError(explain("feature statistics", "no sample", "at least one", "give samples"))
    return total.mean_map[0, 0], total.map_variance()[0, 0], nonzero / len(rows)
