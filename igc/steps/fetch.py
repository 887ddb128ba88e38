"""Workflow step: download what a dataset needs."""

from __future__ import annotations

from igc.config import DataSource
from igc.data.fetch import fetch_data

__all__ = ["fetch"]


def fetch(data: DataSource) -> None:
    """Download what a dataset needs; embedded, simulated and own data need nothing.

    Parameters
    ----------
    data : DataSource
        The ``data`` block of a study.

    Raises
    ------
    FetchError
        If no mirror delivered the expected content.
    """
    fetch_data(data)
