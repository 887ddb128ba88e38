"""Find which parts of the input carry the information that lets a model predict its target, over a whole dataset.

>>> import igc
>>> result = igc.attribute(model, (inputs, responses))  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from igc.errors import IgcError
    from igc.models import load_model
    from igc.roi.normalized import normalized_result
    from igc.steps.attribute import attribute
    from igc.steps.methods import methods
    from igc.steps.spaces import sum_embedding
    from igc.store.results import open_result
    from igc.store.samples import open_samples

__all__ = [
    "IgcError",
    "__version__",
    "attribute",
    "load_model",
    "methods",
    "normalized_result",
    "open_result",
    "open_samples",
    "sum_embedding",
]

__version__ = "0.1.0"

_HOMES = {
    "IgcError": "igc.errors",
    "attribute": "igc.steps.attribute",
    "load_model": "igc.models",
    "methods": "igc.steps.methods",
    "normalized_result": "igc.roi.normalized",
    "open_result": "igc.store.results",
    "open_samples": "igc.store.samples",
    "sum_embedding": "igc.steps.spaces",
}


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that `import igc` does not wait for torch."""
    if name not in _HOMES:
        message = f"module 'igc' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_HOMES[name]), name)
