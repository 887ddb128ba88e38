"""Where a result is to be written is checked before the work that makes it, which may take hours."""

from __future__ import annotations

import json
import os
from pathlib import Path

from igc.errors import ConfigError, StoreError, explain

__all__ = ["check_folder", "check_store", "refuse_foreign"]


def _is_store(folder: Path) -> bool:
    """Return whether a folder is a store, or what is left of one of which a workflow removed the ``zarr.json``."""
    try:
        return bool(json.loads((folder / "zarr.json").read_text(encoding="utf-8"))["node_type"] == "group")
    except FileNotFoundError:
        return all(path.name.isidentifier() and (path / "zarr.json").is_file() for path in folder.iterdir())
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _is_export(folder: Path) -> bool:
    """Return whether a folder holds derivatives that this package described as its own."""
    try:
        described = json.loads((folder / "dataset_description.json").read_text(encoding="utf-8"))
        return bool(described["GeneratedBy"][0]["Name"] == "igc")
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return False


def refuse_foreign(target: Path) -> None:
    """Refuse to replace a folder that was not made here: a mistyped output must not delete somebody's data.

    Parameters
    ----------
    target : Path
        Where a file or store is to be put.

    Raises
    ------
    StoreError
        If a folder that is neither a store nor an export stands there.
    """
    if target.is_dir() and not target.is_symlink() and not _is_store(target) and not _is_export(target):
        seen, allowed = "a folder that holds something else", "a new name, or a store to be replaced"
        raise StoreError(explain(target, seen, allowed, "choose another output, or remove the folder yourself"))


def _absolute(path: str | Path) -> Path:
    """Return the absolute path of an output or input; a store may be named by its ``zarr.json``."""
    whole = Path(os.path.abspath(path))
    return whole.parent if whole.name == "zarr.json" else whole


def _check_place(path: Path, target: Path) -> None:
    """Check that the folder above a target is there or can be made."""
    nearest = next((parent for parent in target.parents if parent.exists()), target)
    if not nearest.is_dir():
        raise StoreError(explain(path, f"the file {nearest} in its way", "a path of folders", "choose another output"))
    if not os.access(nearest, os.W_OK | os.X_OK):
        seen = f"no permission to write to {nearest}"
        raise StoreError(explain(path, seen, "a folder you may write to", "choose another output"))


def check_store(path: Path, *inputs: Path | None) -> None:
    """Check that a store can be written to a path.

    Parameters
    ----------
    path : Path
        The store to be made.
    *inputs : Path or None
        What it is made from, which it may not replace.

    Raises
    ------
    StoreError
        If a file is in the way, the place is not writable, or a folder of something else stands there.
    ConfigError
        If the path is, holds, or lies in one of the inputs.
    """
    target = _absolute(path)
    _check_place(path, target)
    for given in inputs:
        source = None if given is None else _absolute(given)
        if source is not None and (target.is_relative_to(source) or source.is_relative_to(target)):
            seen, remedy = f"the path of the input {given}, or one that overlaps with it", "choose another output"
            raise ConfigError(explain(f"output {path}", seen, "a path apart from all inputs", remedy))
    if target.is_file():
        raise StoreError(explain(path, "a file", "a new name, or a store to be replaced", "choose another output"))
    refuse_foreign(target)


def check_folder(path: Path) -> None:
    """Check that files can be written into a folder.

    Parameters
    ----------
    path : Path
        The folder, which need not exist.

    Raises
    ------
    StoreError
        If a file is in the way, the place is not writable, or the path is that of a store.
    """
    target = _absolute(path)
    _check_place(path, target / "file")
    if (target / "zarr.json").exists():
        raise StoreError(explain(path, "a zarr store", "a folder for other files", "choose another output"))
