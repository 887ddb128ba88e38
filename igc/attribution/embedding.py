"""Categorical inputs: whole-number tokens explained in the space of the layer that embeds them.

The model is cut in two where its embedding layer ends. Samples become what the layer makes of their tokens, and the
model is called with that in place of the layer's output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import get_ident
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from igc.attribution.gradients import Inputs
from igc.attribution.problem import Problem, Rows, SampleSource
from igc.errors import DataError, MethodError, ModelError, explain

__all__ = ["EmbeddedModel", "EmbeddedSource", "check_embedding", "embed", "embedding_layers"]


def embedding_layers(model: Any) -> list[str]:
    """Return the names of the layers of a module that embed tokens."""
    if not isinstance(model, nn.Module):
        return []
    return [name for name, layer in model.named_modules() if isinstance(layer, (nn.Embedding, nn.EmbeddingBag))]


@dataclass(frozen=True)
class EmbeddedModel:
    """A model called with embeddings in place of tokens.

    Attributes
    ----------
    module : torch.nn.Module
        The model; it is left as it was after every call.
    layers : tuple of (str or None)
        For each input the layer that embeds it, or None.
    shapes : tuple of tuple of int
        Shape of each input before it is embedded.
    """

    module: nn.Module
    layers: tuple[str | None, ...]
    shapes: tuple[tuple[int, ...], ...]

    def __call__(self, *inputs: Tensor) -> Any:
        """Run the model; inputs of one layer are taken in the order of its calls."""
        arguments, waiting = [], dict[str, list[Tensor]]()
        for value, layer, shape in zip(inputs, self.layers, self.shapes, strict=True):
            if layer is None:
                arguments.append(value)
            else:
                waiting.setdefault(layer, []).append(value)
                arguments.append(torch.zeros(len(value), *shape, dtype=torch.int64, device=value.device))
        handles = []
        try:
            for name, values in waiting.items():
                handles.append(self.module.get_submodule(name).register_forward_hook(_substitute(name, values)))
            outputs = self.module(*arguments)
        finally:
            for handle in handles:
                handle.remove()
        for name, values in waiting.items():
            if values:
                raise ModelError(explain(f"layer {name!r}", "not called", "one call an input", "name another layer"))
        return outputs


def _substitute(name: str, values: list[Tensor]) -> Callable[[nn.Module, Any, Tensor], Tensor | None]:
    """Return a hook that puts values in place of the layer's outputs, in the thread that made it."""
    thread = get_ident()

    def hook(_layer: nn.Module, _arguments: Any, output: Tensor) -> Tensor | None:
        if get_ident() != thread:
            return None
        if not values:
            seen, remedy = "called more often than it has inputs", "name one layer an input"
            raise ModelError(explain(f"layer {name!r}", seen, "one call an input", remedy))
        value = values.pop(0)
        if value.numel() != output.numel():
            seen = f"an output of shape {tuple(output.shape)}"
            raise ModelError(explain(f"layer {name!r}", seen, tuple(value.shape), "name the layer of these tokens"))
        return value.reshape(output.shape)

    return hook


@dataclass(frozen=True)
class EmbeddedSource:
    """Samples with the embeddings of their tokens as inputs.

    Attributes
    ----------
    source : SampleSource
        Samples with whole-number tokens.
    layers : tuple of (torch.nn.Module or None)
        For each input the layer that embeds it, or None.
    device : torch.device
        Where the layers are.
    input_shapes : tuple of tuple of int
        Shape of each input, embedded.
    """

    source: SampleSource
    layers: tuple[nn.Module | None, ...]
    device: torch.device
    input_shapes: tuple[tuple[int, ...], ...] = ()

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.source.n_samples

    def read(self, rows: Rows) -> tuple[tuple[npt.NDArray[Any], ...], npt.NDArray[Any]]:
        """Return the embedded inputs (row, ..., embedding) and the responses (row, target)."""
        inputs, responses = self.source.read(rows)
        return tuple(self._embedded(x, layer) for x, layer in zip(inputs, self.layers, strict=True)), responses

    def read_responses(self, rows: Rows) -> npt.NDArray[Any]:
        """Return the responses (row, target)."""
        return self.source.read_responses(rows)

    def _embedded(self, values: npt.NDArray[Any], layer: nn.Module | None) -> npt.NDArray[Any]:
        if layer is None:
            return values
        if values.dtype.kind not in "iu":
            remedy = "pass the tokens as integers"
            raise DataError(explain("inputs", f"{values.dtype} for an embedding layer", "whole numbers", remedy))
        with torch.no_grad():
            try:
                output: Tensor = layer(torch.as_tensor(values.astype(np.int64), device=self.device))
            except (IndexError, RuntimeError) as error:  # a layer of another kind, or tokens it does not know
                seen = f"tokens from {values.min()} to {values.max()}"
                remedy = "pass the tokens the model was made for, or name the layer that embeds them"
                raise DataError(explain("inputs", seen, f"those that {layer} takes", remedy)) from error
        return np.asarray(output.cpu().numpy())


def embed(
    model: Any, source: SampleSource, embedding: str | Sequence[str | None], device: torch.device
) -> tuple[EmbeddedModel, EmbeddedSource]:
    """Cut a model in two at its embedding layers.

    Parameters
    ----------
    model : torch.nn.Module
        Takes whole-number tokens.
    source : SampleSource
        Samples with such inputs.
    embedding : str or sequence of (str or None)
        Name of the layer that embeds every whole-number input; or one an input, None for those that are not embedded.
    device : torch.device
        Where the model is.

    Returns
    -------
    EmbeddedModel, EmbeddedSource
        Model and samples in the space of the embeddings.

    Raises
    ------
    MethodError, ModelError, DataError
        If there is no such layer, or an input that is no tokens.
    """
    if not isinstance(model, nn.Module):
        seen = type(model).__name__
        raise ModelError(explain("model", seen, "a torch.nn.Module, whose layers have names", "wrap it in one"))
    first = source.read(np.arange(1))[0]
    if isinstance(embedding, str):
        names: tuple[str | None, ...] = tuple(embedding if x.dtype.kind in "iu" else None for x in first)
    else:
        names = tuple(embedding)
    if len(names) != len(first) or not any(names):
        seen = f"{sum(name is not None for name in names)} layers for {len(first)} inputs"
        raise MethodError(explain("embedding", seen, "a layer name or None for each input", "name them"))
    layers = tuple(None if name is None else _layer(model, name) for name in names)
    embedded = EmbeddedSource(source, layers, device)
    shapes = tuple(tuple(x.shape[1:]) for x in embedded.read(np.arange(1))[0])
    return EmbeddedModel(model, names, tuple(source.input_shapes)), replace(embedded, input_shapes=shapes)


def _layer(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError as error:
        allowed = ", ".join(embedding_layers(model)) or "the name of a layer"
        raise MethodError(explain("embedding", repr(name), allowed, "name the layer that embeds the tokens")) from error


def check_embedding(problem: Problem, model: EmbeddedModel, tokens: SampleSource) -> None:
    """Refuse a model that looks at its tokens elsewhere than in the embedding layer.

    Parameters
    ----------
    problem : Problem
        The attribution in the space of the embeddings.
    model : EmbeddedModel
        Its model.
    tokens : SampleSource
        The samples before they were embedded.

    Raises
    ------
    ModelError
        If its outputs from embeddings are not those from tokens.
    """
    rows = np.unique(np.linspace(0, problem.n_samples - 1, min(problem.n_samples, 8)).astype(np.int64))
    plain: Inputs = tuple(
        torch.as_tensor(np.ascontiguousarray(x).astype(np.int64) if layer else np.ascontiguousarray(x)).to(
            problem.device, None if layer else problem.dtype
        )
        for x, layer in zip(tokens.read(rows)[0], model.layers, strict=True)
    )
    with torch.no_grad():
        expected = replace(problem.outputs, model=model.module)(plain).double().cpu().numpy()
    seen = problem.predict(problem.load(rows)[0])
    if not np.allclose(seen, expected, rtol=1e-3, atol=1e-3 * float(np.abs(expected).max())):
        found = f"outputs that change by {np.abs(seen - expected).max():.3g} when tokens are replaced by embeddings"
        remedy = "let the model see its tokens in this layer only, without masks or lengths made of them"
        raise ModelError(explain("embedding", found, "the same outputs", remedy))
