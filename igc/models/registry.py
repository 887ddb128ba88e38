"""The registry of architectures: a name and JSON arguments are all a model file needs to rebuild its module."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from igc.errors import ModelError, explain

__all__ = ["ARCHITECTURES", "Builder", "build_architecture", "register_architecture"]

Builder = Callable[..., nn.Module]
"""``(input_shape, n_targets, **arguments) -> nn.Module``."""

ARCHITECTURES: dict[str, Builder] = {}
"""Every known architecture by name."""


def register_architecture(name: str) -> Callable[[Builder], Builder]:
    """Make an architecture known under a name; use it as a decorator.

    Parameters
    ----------
    name : str
        The name to be used in configurations and model files.

    Returns
    -------
    callable
        A decorator of a builder ``(input_shape, n_targets, **arguments) -> nn.Module`` whose keyword arguments are
        JSON values. The module maps ``(batch, *input_shape)`` to ``(batch, n_targets)`` raw outputs.

    Raises
    ------
    ModelError
        If the name is taken by another builder.

    Examples
    --------
    >>> @register_architecture("two_layers")
    ... def two_layers(input_shape, n_targets, *, width=8):
    ...     return nn.Sequential(nn.Linear(input_shape[0], width), nn.Tanh(), nn.Linear(width, n_targets))
    """

    def decorate(builder: Builder) -> Builder:
        known = ARCHITECTURES.get(name)
        if known is not None and known.__qualname__ != builder.__qualname__:
            allowed = f"a name other than {', '.join(sorted(ARCHITECTURES))}"
            raise ModelError(explain("register_architecture", repr(name), allowed, "choose another name"))
        ARCHITECTURES[name] = builder
        return builder

    return decorate


def _argument_names(builder: Builder) -> list[str]:
    parameters = list(inspect.signature(builder).parameters.values())[2:]
    return [parameter.name for parameter in parameters if parameter.kind is not inspect.Parameter.VAR_KEYWORD]


def build_architecture(
    name: str, input_shape: Sequence[int], n_targets: int, arguments: Mapping[str, Any] | None = None
) -> nn.Module:
    """Build an untrained module.

    Parameters
    ----------
    name : str
        A key of :data:`ARCHITECTURES`.
    input_shape : sequence of int
        Shape of one input, without the sample axis.
    n_targets : int
        Number of outputs.
    arguments : mapping, optional
        Keyword arguments of the architecture.

    Returns
    -------
    torch.nn.Module
        Its initial weights are drawn from torch's global generator.

    Raises
    ------
    ModelError
        If the name is unknown, or the arguments do not fit the architecture or the input.
    """
    if name not in ARCHITECTURES:
        raise ModelError(explain("architecture", repr(name), ", ".join(sorted(ARCHITECTURES)), "choose one of these"))
    builder, given = ARCHITECTURES[name], dict(arguments or {})
    try:
        inspect.signature(builder).bind(tuple(input_shape), n_targets, **given)
    except TypeError as error:
        allowed = ", ".join(_argument_names(builder)) or "no argument"
        message = explain(f"arguments of {name}", ", ".join(given), allowed, f"correct the arguments ({error})")
        raise ModelError(message) from error
    try:
        return builder(tuple(int(n) for n in input_shape), int(n_targets), **given)
    except ModelError:
        raise
    except (TypeError, ValueError, RuntimeError, torch.OutOfMemoryError) as error:
        message = explain(f"arguments of {name}", given, f"values that suit inputs {tuple(input_shape)}", str(error))
        raise ModelError(message) from error
