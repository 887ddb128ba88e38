"""Which files are opened meanwhile, by Python or by the HDF5 library."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import pytest

_recorders: list[set[str]] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _recorders and isinstance(arguments[0], str | bytes | os.PathLike):
        for opened in _recorders:
            opened.add(os.path.abspath(os.fsdecode(arguments[0])))


sys.addaudithook(_hook)


@contextmanager
def opened_below(root: Path) -> Iterator[set[str]]:
    """Fill a set with the paths, relative to the root, of the files that are opened inside the block."""
    seen: set[str] = set()
    keys: set[str] = set()
    original = h5py.File

    class Recorded(original):
        def __init__(self, name, *arguments, **options):
            if isinstance(name, str | os.PathLike):
                seen.add(os.path.abspath(os.fsdecode(name)))
            super().__init__(name, *arguments, **options)

    _recorders.append(seen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(h5py, "File", Recorded)
        try:
            yield keys
        finally:
            _recorders.remove(seen)
            base = f"{root.absolute()}{os.sep}"
            keys |= {Path(name.removeprefix(base)).as_posix() for name in seen if name.startswith(base)}
