"""The Taylor attribution framework: what a model does between baseline and input, term by term (arXiv 2008.09695)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from igc.attribution.taylor.reformulation import Reformulated, agreement, reformulate
    from igc.attribution.taylor.terms import Decomposition, decompose

__all__ = ["Decomposition", "Reformulated", "agreement", "decompose", "reformulate"]

_HOMES = {
    "Decomposition": "terms",
    "decompose": "terms",
    "Reformulated": "reformulation",
    "agreement": "reformulation",
    "reformulate": "reformulation",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are asked for: figures read the weights of methods without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
