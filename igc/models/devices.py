"""Where a model is trained."""

from __future__ import annotations

import torch

from igc.errors import ModelError, explain

__all__ = ["accelerator_of"]


def accelerator_of(device: str) -> str:
    """Return "cpu" or "cuda" for a device setting.

    Parameters
    ----------
    device : str
        "auto", "cpu" or "cuda".

    Returns
    -------
    str

    Raises
    ------
    ModelError
        If the device is unknown or not there.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" or (device.startswith("cuda") and torch.cuda.is_available()):
        return device
    raise ModelError(explain("device", repr(device), "auto, cpu, or cuda with a GPU", "choose another device"))
