"""What a figure shows where there is more than fits: which targets, which models, and how they are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

__all__ = [
    "MAIN_METHOD",
    "MAX_TARGETS",
    "Choice",
    "Results",
    "choose_targets",
    "deviations",
    "main_results",
    "method_label",
    "model_labels",
    "one_seed_each",
]

Results: TypeAlias = Mapping[tuple[str, str], xr.Dataset]
"""Attribution results by model folder name (``cnn-seed0``) and result name (``igc``)."""
MAIN_METHOD = "igc"
MAX_TARGETS = 12
"""Largest number of targets that get a panel of their own."""


@dataclass(frozen=True)
class Choice:
    """Targets that are shown.

    Attributes
    ----------
    indices : tuple of int
        Positions among all targets, in their own order.
    names : tuple of str
        Their names.
    note : str
        Says that there are more, and is empty where there are not.
    """

    indices: tuple[int, ...]
    names: tuple[str, ...]
    note: str


def choose_targets(results: Results, limit: int = MAX_TARGETS) -> Choice:
    """Choose the best-predicted targets where there are more than can be shown.

    Parameters
    ----------
    results : mapping
        Attribution results; their scores are averaged over models.
    limit : int
        Largest number of targets.

    Returns
    -------
    Choice
    """
    first = next(iter(results.values()))
    names = [str(name) for name in first["target"].values]
    if len(names) <= limit:
        return Choice(tuple(range(len(names))), tuple(names), "")
    by_model = {model: np.nan_to_num(result["score"].values, nan=-2.0) for (model, _), result in results.items()}
    score = np.mean(list(by_model.values()), axis=0)
    best = np.sort(np.argsort(-score, kind="stable")[:limit])
    note = f"The {limit} best predicted of {len(names)} targets are shown."
    return Choice(tuple(int(i) for i in best), tuple(names[i] for i in best), note)


def split_seed(model: str) -> tuple[str, str]:
    """Split the folder name of a model into its name and its seed."""
    name, _, seed = model.rpartition("-seed")
    return (name, seed) if name else (model, "")


def one_seed_each(models: Iterable[str]) -> tuple[list[str], str]:
    """Keep the first seed of every model.

    Parameters
    ----------
    models : iterable of str
        Folder names such as ``cnn-seed0``.

    Returns
    -------
    kept : list of str
        One folder name a model, in the order given.
    note : str
        Says which seeds are left out, and is empty where none is.
    """
    kept: dict[str, str] = {}
    dropped = 0
    for model in dict.fromkeys(models):
        if kept.setdefault(split_seed(model)[0], model) != model:
            dropped += 1
    note = f"The first seed of each model is shown ({dropped} more in the tables)." if dropped else ""
    return list(kept.values()), note


def model_labels(models: Iterable[str]) -> dict[str, str]:
    """Return how models are called in figures: the seed is named only where a model has several."""
    folders = list(dict.fromkeys(models))
    names = [split_seed(folder) for folder in folders]
    several = {name for name, _ in names if sum(name == other for other, _ in names) > 1}
    return {
        folder: (f"{name} (seed {seed})" if name in several else name).replace("_", " ")
        for folder, (name, seed) in zip(folders, names, strict=True)
    }


def method_label(method: str) -> str:
    """Return how a method is called in figures."""
    spelled = {
        "igc": "IGC",
        "iba": "IBA",
        "haufe": "Haufe",
        "pmi": "PMI",
        "taylor": "Taylor",
        "x": "\N{MULTIPLICATION SIGN}",
        "deeplift": "DeepLIFT",
        "smoothgrad": "SmoothGrad",
        "lrp": "LRP",
        "shap": "SHAP",
        "epsilon": "\N{GREEK SMALL LETTER EPSILON}",
    }
    return " ".join(spelled.get(word, word) for word in method.split("_"))


def main_results(results: Results) -> dict[str, xr.Dataset]:
    """Return the result of IGC for every model, or of another complete method where a model has no IGC.

    Parameters
    ----------
    results : mapping
        Attribution results.

    Returns
    -------
    dict of str to xarray.Dataset
        By folder name of the model; models without any complete method are left out.
    """
    chosen: dict[str, xr.Dataset] = {}
    for (model, method), result in results.items():
        if method == MAIN_METHOD or (result.attrs.get("complete") and (model, MAIN_METHOD) not in results):
            chosen.setdefault(model, result)
    return chosen


def deviations(values: xr.Dataset, sampling: str, estimator: str) -> tuple[npt.NDArray[np.float64], str]:
    """Return standard errors, from sampling where they are known, else of the estimator alone.

    Parameters
    ----------
    values : xarray.Dataset
        A result.
    sampling, estimator : str
        Names of the two variables; either may be missing.

    Returns
    -------
    errors : array
        NaN where neither is known.
    meaning : str
        What the errors are, for the figure.
    """
    for name, meaning in (
        (sampling, "±\N{NO-BREAK SPACE}1 standard error over samples"),
        (estimator, "±\N{NO-BREAK SPACE}1 error of the estimator (that of sampling is not known)"),
    ):
        if name in values and bool(np.isfinite(values[name].values).any()):
            return np.asarray(values[name].values, dtype=np.float64), meaning
    return np.full(values["score"].shape, np.nan), ""
