"""List the attribution methods."""

from __future__ import annotations

import pandas as pd

from igc.attribution.registry import METHODS

__all__ = ["methods"]


def methods() -> pd.DataFrame:
    """List the attribution methods by name, with what each needs and promises.

    Returns
    -------
    pandas.DataFrame
        Indexed by name: ``title``, ``needs`` ("gradient", "forward", "linear model" or "data"), ``complete`` (the map
        sums to the score), ``closes_to`` ("score", "one" or None), ``signed``, ``source``, ``options``.
    """
    rows = [
        {
            "name": method.name,
            "title": method.title,
            "needs": method.needs,
            "complete": method.complete,
            "closes_to": method.closes_to,
            "signed": method.signed,
            "source": method.source,
            "options": ", ".join(method.options),
        }
        for method in sorted(METHODS.values(), key=lambda entry: entry.name)
    ]
    return pd.DataFrame(rows).set_index("name")
