"""Refuse a model and samples that do not belong together, before any work is done."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from igc.errors import MethodError, ModelError, ShapeError, explain

__all__ = ["check_match"]


def check_match(model: Path, samples: Path, dataset: xr.Dataset, samples_digest: str, output: str) -> None:
    """Check that a model was trained on these samples and has the outputs that are asked for.

    Parameters
    ----------
    model : Path
        The model folder.
    samples : Path
        The samples store.
    dataset : xarray.Dataset
        The same, opened.
    samples_digest : str
        Its digest, from :func:`igc.store.arrays.store_digest`.
    output : str
        "raw", "probability" or "log_probability".

    Raises
    ------
    MissingFileError, ModelError, ShapeError, MethodError
        If the model cannot be read, has inputs of another shape, was trained on other samples, or has no
        probabilities.
    """
    from igc.models.files import describe_model  # a notebook that brings its own model does not wait for ours

    description = describe_model(model)
    shape, wanted = tuple(dataset["inputs"].shape[1:]), tuple(description["input_shape"])
    if shape != wanted:
        seen = f"a model of inputs of shape {wanted}"
        raise ShapeError(explain(model, seen, f"{shape}, as in {samples}", "train a model on these samples"))
    # held-out samples of another split were trained on: scores and maps would be too good; a model that was made
    # elsewhere may not know its samples
    if description["samples"] not in ("", samples_digest):
        seen = "a model of other samples"
        raise ModelError(explain(model, seen, f"one that was trained on {samples}", "train it again on these samples"))
    if output != "raw" and description["target_type"] == "values":
        seen = f"{output!r} of a model of values"
        raise MethodError(explain("output", seen, "'raw', as only categories have probabilities", "leave it out"))
