"""The real data that is shipped with the package, in ``igc/data/samples``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import as_file, files
from pathlib import Path

__all__ = ["ORIGINS", "embedded_files"]

ORIGINS = {
    "mnist": {
        "name": "MNIST: handwritten digits",
        "licence": "CC BY-SA 3.0",
        "citation": "LeCun, Bottou, Bengio, Haffner (1998), Proceedings of the IEEE 86:2278",
    },
    "haxby": {
        "name": "Visual object recognition (OpenNeuro ds000105)",
        "licence": "CC BY-SA 3.0",
        "citation": "Haxby, Gobbini, Furey, Ishai, Schouten, Pietrini (2001), Science 293:2425",
    },
}
"""Name, licence and citation of the datasets that are known by name."""


@contextmanager
def embedded_files(folder: str, *names: str) -> Iterator[list[Path]]:
    """Give paths of embedded files, also when the package is a zip archive.

    Parameters
    ----------
    folder : str
        ``"mnist"`` or ``"haxby_slice"``.
    *names : str
        Files in it.

    Yields
    ------
    list of Path
        Valid within the context.
    """
    root = files("igc.data") / "samples" / folder
    with ExitStack() as stack:
        yield [stack.enter_context(as_file(root / name)) for name in names]
