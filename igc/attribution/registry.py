"""Every attribution method by name, with what it needs and promises."""

from __future__ import annotations

import difflib

from igc.attribution.bottleneck import methods as bottleneck
from igc.attribution.correlation import methods as correlation
from igc.attribution.information import methods as information
from igc.attribution.problem import Problem
from igc.attribution.protocols import DatasetAttribution, Method, Options
from igc.attribution.scores import Scores
from igc.attribution.standard import methods as standard
from igc.attribution.taylor import methods as taylor
from igc.errors import MethodError, explain

__all__ = ["METHODS", "build", "find_method", "register_method"]

METHODS: dict[str, Method] = {}
"""The registry; :func:`register_method` adds to it."""


def register_method(method: Method) -> Method:
    """Add a method to the registry.

    Parameters
    ----------
    method : Method
        The entry; a name can be taken only once.

    Returns
    -------
    Method
    """
    if method.name in METHODS:
        raise MethodError(explain("register_method", repr(method.name), "a new name", "choose another name"))
    METHODS[method.name] = method
    return method


def find_method(name: str) -> Method:
    """Return the entry of a name.

    Raises
    ------
    MethodError
        If there is none; the message proposes the closest name.
    """
    if name not in METHODS:
        close = difflib.get_close_matches(name, METHODS, 1)
        remedy = f"did you mean {close[0]!r}?" if close else "see `igc methods`"
        raise MethodError(explain("method", repr(name), ", ".join(sorted(METHODS)), remedy))
    return METHODS[name]


def build(name: str, problem: Problem, scores: Scores, options: Options) -> DatasetAttribution:
    """Make the dataset attribution of a method.

    Parameters
    ----------
    name : str
        A key of :data:`METHODS`.
    problem, scores, options
        What is explained and how.

    Returns
    -------
    DatasetAttribution

    Raises
    ------
    MethodError
        If the method or one of its options is unknown.
    """
    method = find_method(name)
    unknown = sorted(set(options.extra) - set(method.options))
    if unknown:
        allowed = ", ".join(method.options) or "no options"
        raise MethodError(explain(f"options of {name}", unknown[0], allowed, "remove or correct it"))
    return method.build(problem, scores, options)


for _method in (
    *correlation.METHODS,
    *standard.METHODS,
    *bottleneck.METHODS,
    *information.METHODS,
    *taylor.METHODS,
):
    register_method(_method)
