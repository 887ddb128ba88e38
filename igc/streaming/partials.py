"""Partial states on disk: one verified file a task, so that an interrupted run goes on where it was."""

from __future__ import annotations

import hashlib
import logging
import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from igc.store.atomic import remove_abandoned, replacing, write_text

__all__ = ["Partials"]

logger = logging.getLogger(__name__)
OWNER = "owner.txt"
"""Names what the states beside it are for."""
STATES = "[!.]*.safetensors"
"""The finished ones: a hidden name is one that is being written."""
TASKS = "tasks.txt"
"""Says how many states there will be, for whoever wants to know how far the work is."""

Arrays = Mapping[str, npt.NDArray[Any]]


def _digest(arrays: Arrays, key: str) -> str:
    total = hashlib.sha256(key.encode())
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        total.update(f"{name}{value.dtype.str}{value.shape}".encode())
        total.update(value.tobytes())
    return total.hexdigest()


class Partials:
    """A folder of partial states of one piece of work.

    Parameters
    ----------
    folder : str or Path
        Where the files lie.
    key : str
        Digest of everything the states depend on (model, data, settings). Files of another key are ignored, and
        removed by :meth:`clear`.
    others : sequence of Path
        Further folders in which states may be found, for example those of other shares of the work.
    owner : str, optional
        What the work is for, such as the path of a result: states of another key for the same are of no use any more
        once it is finished, and :meth:`clear` removes them too.
    """

    def __init__(self, folder: str | Path, key: str, others: Sequence[Path] = (), owner: str = "") -> None:
        self.folder = Path(folder)
        self.key = key
        self.others = tuple(others)
        self.owner = owner

    def _file(self, name: str) -> Path:
        return self.folder / self.key[:16] / f"{name}.safetensors"

    def _found(self, name: str) -> Path | None:
        """Return the first file of a task, here or in the other folders."""
        places = (self._file(name), *(folder / self.key[:16] / f"{name}.safetensors" for folder in self.others))
        return next((file for file in places if file.is_file()), None)

    def save(self, name: str, arrays: Arrays, seconds: float = 0.0) -> None:
        """Write a state, whole or not at all.

        Parameters
        ----------
        name : str
            Name of the task.
        arrays : mapping of str to array
            The state.
        seconds : float
            How long it took to compute.
        """
        mark = self.folder / self.key[:16] / OWNER
        if self.owner and not mark.is_file():
            write_text(mark, self.owner)
        plain = {field: np.ascontiguousarray(value) for field, value in arrays.items()}
        with replacing(self._file(name), alone=True) as temporary:  # safetensors writes beside it first
            metadata = {"key": self.key, "sha256": _digest(plain, self.key), "seconds": repr(seconds)}
            save_file(plain, temporary, metadata=metadata)

    def expect(self, count: int) -> None:
        """Note how many states there will be.

        Parameters
        ----------
        count : int
            Number of tasks.
        """
        file = self.folder / self.key[:16] / TASKS
        if not file.is_file():
            write_text(file, f"{count}\n")

    def agree(self, name: str, arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
        """Write a state unless there is one, and return the one that is there, so that jobs hold to one choice.

        Parameters
        ----------
        name : str
            Name of the choice.
        arrays : mapping of str to array
            What to write.

        Returns
        -------
        dict of str to array
            What was written first.
        """
        kept = self.load(name)
        if kept is not None:
            return kept
        own = f"{name}-{uuid.uuid4().hex}"
        self.save(own, arrays)
        try:
            os.link(self._file(own), self._file(name))  # unlike a renaming it fails where the name is taken
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            self.save(name, arrays)
        self._file(own).unlink()
        agreed = self.load(name)
        return {field: np.asarray(value) for field, value in arrays.items()} if agreed is None else agreed

    def seconds(self) -> float:
        """Return how long it took to compute the states that are kept, by whatever processes."""
        total = 0.0
        for folder in (self.folder, *self.others):
            for file in sorted((folder / self.key[:16]).glob(STATES)):
                with suppress(SafetensorError, OSError, ValueError), safe_open(file, framework="np") as opened:
                    total += float((opened.metadata() or {}).get("seconds", 0.0))
        return total

    def load(self, name: str) -> dict[str, npt.NDArray[Any]] | None:
        """Read a state back.

        Parameters
        ----------
        name : str
            Name of the task.

        Returns
        -------
        dict of str to array, or None
            None if there is no such file, or one that is damaged (it is then removed, to be computed again).
        """
        file = self._found(name)
        if file is None:
            return None
        try:
            with safe_open(file, framework="np") as opened:
                metadata = opened.metadata() or {}
                arrays = {field: opened.get_tensor(field) for field in opened.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            logger.warning("%s is damaged (%s) and will be computed again", file, error)
            file.unlink(missing_ok=True)
            return None
        if metadata.get("key") != self.key or metadata.get("sha256") != _digest(arrays, self.key):
            logger.warning("%s does not hold what was written and will be computed again", file)
            file.unlink(missing_ok=True)
            return None
        return arrays

    def clear(self) -> None:
        """Remove the files of this work, and those of other keys for the same owner, after its result was written."""
        own = self.folder / self.key[:16]
        siblings = [mark.parent for mark in self.folder.glob(f"*/{OWNER}") if self._owned(mark)]
        for folder in {own, *siblings}:
            for file in (*folder.glob(STATES), folder / OWNER, folder / TASKS):
                file.unlink(missing_ok=True)
            if folder.is_dir():
                remove_abandoned(folder)
            _remove_empty(folder)
        _remove_empty(self.folder)

    def _owned(self, mark: Path) -> bool:
        return bool(self.owner) and mark.read_text(encoding="utf-8") == self.owner


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
