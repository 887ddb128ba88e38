"""Every error a user can cause, as one short line that says what to do.

A message built by :func:`explain` names the place (usually a file), the value seen, the value allowed and the
remedy. Each class also inherits the builtin a Python user would catch.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "ChecksumError",
    "ConfigError",
    "DataError",
    "ExecutionError",
    "FetchError",
    "IgcError",
    "MethodError",
    "MissingFileError",
    "ModelError",
    "ShapeError",
    "StateMismatchError",
    "StoreError",
    "explain",
]


class IgcError(Exception):
    """Base of all errors raised on purpose by this package; the command line prints it and exits with 2."""


class ConfigError(IgcError, ValueError):
    """A configuration key or value that is not allowed."""


class DataError(IgcError, ValueError):
    """Input data whose content contradicts its format or the other inputs."""


class ShapeError(DataError):
    """Arrays whose shapes do not fit together."""


class MissingFileError(IgcError, FileNotFoundError):
    """A file or folder that should be there."""


class ModelError(IgcError, ValueError):
    """A model, architecture or model file that cannot be used as asked."""


class MethodError(IgcError, ValueError):
    """An attribution method or an option of one that cannot be used as asked."""


class StateMismatchError(IgcError, ValueError):
    """Partial states that cannot be merged, because they were not made by the same design."""


class StoreError(IgcError, OSError):
    """A result that could not be written or read back."""


class ChecksumError(StoreError):
    """Stored bytes that differ from those that were written."""


class ExecutionError(IgcError, RuntimeError):
    """Workers or a scheduler that cannot be used, or were lost on the way."""


class FetchError(IgcError, OSError):
    """A download that failed or did not bring what was asked for."""


def explain(where: str | Path, seen: object, allowed: object, remedy: str) -> str:
    """Build the one-line message that every :class:`IgcError` carries.

    Parameters
    ----------
    where : str or Path
        The file, configuration key or argument at fault.
    seen, allowed : object
        The value found there, and the values that would be right.
    remedy : str
        What to do, as an imperative clause.

    Returns
    -------
    str
        ``where: found seen, allowed is allowed; remedy`` on a single line.
    """
    text = f"{where}: found {seen}, allowed is {allowed}; {remedy}"
    return " ".join(text.split())
