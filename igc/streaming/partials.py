"""Partial states on disk: one verified file a task, so that an interrupted run goes on where it was."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from igc.store.atomic import replacing

__all__ = ["Partials"]

logger = logging.getLogger(__name__)
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
    """

    def __init__(self, folder: str | Path, key: str, others: Sequence[Path] = ()) -> None:
        self.folder = Path(folder)
        self.key = key
        self.others = tuple(others)

    def _file(self, name: str) -> Path:
        return self.folder / self.key[:16] / f"{name}.safetensors"

    def _found(self, name: str) -> Path | None:
        """Return the first file of a task, here or in the other folders."""
        places = (self._file(name), *(folder / self.key[:16] / f"{name}.safetensors" for folder in self.others))
        return next((file for file in places if file.is_file()), None)

    def save(self, name: str, arrays: Arrays) -> None:
        """Write a state, whole or not at all.

        Parameters
        ----------
        name : str
            Name of the task.
        arrays : mapping of str to array
            The state.
        """
        plain = {field: np.ascontiguousarray(value) for field, value in arrays.items()}
        with replacing(self._file(name)) as temporary:
            save_file(plain, temporary, metadata={"key": self.key, "sha256": _digest(plain, self.key)})

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
        """Remove the files of this work, after its result was written."""
        folder = self.folder / self.key[:16]
        for file in folder.glob("*.safetensors") if folder.is_dir() else ():
            file.unlink(missing_ok=True)
        for empty in (folder, self.folder):
            if empty.is_dir() and not any(empty.iterdir()):
                empty.rmdir()
