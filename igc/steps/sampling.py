"""What a method without gradients works with: samplers found beside the samples, and models of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from igc.attribution.information.files import StoredSampler, describe_sampler
from igc.attribution.problem import SampleSource
from igc.attribution.protocols import Method
from igc.attribution.registry import METHODS
from igc.config import PLAIN_SAMPLERS, MethodSettings
from igc.errors import MethodError, MissingFileError, ModelError, explain
from igc.store.samples import open_samples

__all__ = ["check_sampler", "sampler_folder", "usable_model", "with_sampler"]


def sampler_folder(settings: MethodSettings, samples: Path) -> Path | None:
    """Return the folder of the fitted sampler that settings name.

    Parameters
    ----------
    settings : MethodSettings
        Whose option ``sampler`` is a name under ``samplers/`` beside the samples, or the path of a folder.
    samples : Path
        The samples store.

    Returns
    -------
    Path, optional
        None where no fitted sampler is named.

    Raises
    ------
    MissingFileError
        If there is no such sampler.
    """
    choice = settings.options.get("sampler")
    if not isinstance(choice, str) or choice in PLAIN_SAMPLERS:
        return None
    places = [samples.parent / "samplers" / choice, Path(choice)]
    for place in places:
        if (place / "sampler.json").is_file():
            return place
    allowed = f"one of {', '.join(PLAIN_SAMPLERS)}, or a sampler in {places[0]}"
    raise MissingFileError(explain("sampler", repr(choice), allowed, "fit it with `igc fit-sampler`"))


def check_sampler(settings: MethodSettings, samples: Path, samples_digest: str) -> dict[str, str]:
    """Refuse a sampler that was not fitted to the samples.

    Parameters
    ----------
    settings, samples
        As for :func:`sampler_folder`.
    samples_digest : str
        Digest of the samples.

    Returns
    -------
    dict of str to str
        ``sampler_digest``, that of its weights; empty where no fitted sampler is named.

    Raises
    ------
    ModelError
        If it belongs to other samples.
    """
    folder = sampler_folder(settings, samples)
    if folder is None:
        return {}
    description = describe_sampler(folder)
    shape = list(open_samples(samples)["inputs"].shape[1:])
    if description["input_shape"] != shape or description["samples"] != samples_digest:
        seen, allowed = "a sampler of other samples", f"one fitted to {samples}"
        raise ModelError(explain(folder, seen, allowed, "fit it again with `igc fit-sampler`"))
    return {"sampler_digest": str(description.get("weights", ""))}


def with_sampler(settings: MethodSettings, samples: Path, fold: int) -> MethodSettings:
    """Return settings with the sampler of a fold in place of its name; it is loaded where it is used."""
    folder = sampler_folder(settings, samples)
    if folder is None:
        return settings
    return settings.model_copy(update={"options": {**settings.options, "sampler": StoredSampler(str(folder), fold)}})


def usable_model(model: Any, method: Method, source: SampleSource) -> Any:
    """Return a model that can be called with tensors.

    Parameters
    ----------
    model : object
        What a user brings; see :func:`igc.models.blackbox.as_model`.
    method : Method
        Which is to explain it.
    source : SampleSource
        The samples, of which the first is tried.

    Returns
    -------
    callable

    Raises
    ------
    MethodError, ModelError
        If the method needs gradients where there are none, or the model cannot be used.
    """
    from igc.models.blackbox import BlackBox, as_model

    inputs = source.read(np.arange(1))[0]
    called = as_model(model, [x if x.dtype == np.float64 else x.astype(np.float32) for x in inputs])
    if isinstance(called, BlackBox) and method.needs not in ("forward", "data"):
        free = ", ".join(sorted(name for name, entry in METHODS.items() if entry.needs == "forward"))
        raise MethodError(explain("method", f"{method.name!r} for a model without gradients", free, "choose another"))
    return called
