"""The space in which inputs are explained: as they are, or embedded; and labels of its components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from igc.attribution.embedding import embedding_layers
from igc.attribution.problem import SampleSource
from igc.errors import MethodError, explain
from igc.roi.sets import RoiSet
from igc.store.samples import component_dims

__all__ = ["input_dims", "refuse_tokens", "spread_labels", "sum_embedding", "with_features"]

EMBEDDING = "embedding"


def input_dims(tokens: SampleSource, shown: SampleSource, dims: tuple[str, ...] | None) -> list[tuple[str, ...]]:
    """Return the names of the axes of each input.

    Parameters
    ----------
    tokens, shown : SampleSource
        The samples as given, and as explained.
    dims : tuple of str, optional
        Names of the axes of a given input.

    Returns
    -------
    list of tuple of str
        One an input; an embedded one ends in ``embedding``.
    """
    found = []
    for before, after in zip(tokens.input_shapes, shown.input_shapes, strict=True):
        if len(after) > len(before):
            given = dims if dims is not None and len(dims) == len(before) else None
            default = ("position",) if len(before) == 1 else tuple(f"axis_{i}" for i in range(len(before)))
            found.append((*(given or default), EMBEDDING))
        else:
            found.append(dims if dims is not None and len(dims) == len(after) else component_dims(len(after)))
    return found


def refuse_tokens(model: Any, source: SampleSource) -> None:
    """Refuse whole-number inputs of a model that embeds them, where no layer was named.

    Raises
    ------
    MethodError
        Naming the layers there are.
    """
    layers = embedding_layers(model)
    if layers and any(x.dtype.kind in "iu" for x in source.read(np.arange(1))[0]):
        allowed = ", ".join(repr(name) for name in layers)
        raise MethodError(explain("embedding", None, allowed, "name the layer that embeds the whole-number inputs"))


def spread_labels(rois: Any, tokens: tuple[int, ...], shown: tuple[int, ...]) -> Any:
    """Return ROI labels or masks of tokens as those of all components of their embeddings.

    Parameters
    ----------
    rois : None, array or mapping
        As a caller gives them; what has not the shape of the tokens is left as it is.
    tokens, shown : tuple of int
        Shape of the input as given, and as explained.

    Returns
    -------
    None, array or mapping
    """
    if rois is None or tokens == shown or isinstance(rois, RoiSet):
        return rois
    if isinstance(rois, Mapping):
        return {key: spread_labels(value, tokens, shown) for key, value in rois.items()}
    labels = np.asarray(rois)
    if labels.shape != tokens:
        return rois
    return np.broadcast_to(labels.reshape(*tokens, *[1] * (len(shown) - len(tokens))), shown)


def with_features(options: Mapping[str, Any], sets: Mapping[str, RoiSet]) -> dict[str, Any]:
    """Return a method's options with the labels of ROI sets in place of their names.

    Parameters
    ----------
    options : mapping
        Options of the method, whose ``features`` and ``share`` may name a set.
    sets : mapping of str to RoiSet
        The sets at hand.

    Returns
    -------
    dict

    Raises
    ------
    MethodError
        If there is no such set.
    """
    found = dict(options)
    for key in ("features", "share"):
        name = options.get(key)
        if not isinstance(name, str):
            continue
        if name not in sets:
            allowed = ", ".join(sorted(sets)) or "no ROI sets here"
            raise MethodError(explain(key, repr(name), allowed, "name an ROI set, or pass labels"))
        found[key] = sets[name].labels
    return found


def sum_embedding(result: xr.Dataset) -> xr.Dataset:
    """Sum the maps of a result over their embedding axis: one number a token.

    Parameters
    ----------
    result : xarray.Dataset
        From :func:`igc.attribute` with ``embedding``.

    Returns
    -------
    xarray.Dataset
        Without the maps that cannot be summed (errors, deviations, absolute values). For the errors of whole tokens
        pass ``rois`` of the shape of the tokens.
    """
    over: Sequence[Any] = [dim for dim in result.dims if str(dim).startswith(EMBEDDING)]
    summable = ("attribution", "mean", "covariance")
    dropped = [
        name
        for name, values in result.data_vars.items()
        if set(values.dims) & set(over) and str(name).rstrip("0123456789").rstrip("_") not in summable
    ]
    return result.drop_vars(dropped).sum(over, keep_attrs=True, skipna=False) if over else result
