"""Files and folders that exist whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
from safetensors import SafetensorError

from igc.errors import StoreError, explain
from igc.store.outputs import refuse_foreign

__all__ = ["remove_abandoned", "replacing", "write_parquet", "write_table", "write_text"]

_REMEDIES = {
    errno.ENOSPC: "free some disk space and run again",
    errno.EDQUOT: "free some of your quota and run again",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "choose a folder you may write to",
    errno.EFBIG: "raise the file size limit and run again",
    errno.ENOTDIR: "choose another output: a file and a folder are in the way of each other",
    errno.EISDIR: "choose another output: a file and a folder are in the way of each other",
    errno.EEXIST: "choose another output: a file and a folder are in the way of each other",
    errno.ENAMETOOLONG: "choose a shorter output",
}

_KINDS = ("partial", "replaced")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()


def _remove_with_late_writes(path: Path) -> None:
    """Remove what a failure left: zarr writes chunks in threads, of which others go on when one has failed."""
    for pause in (0.0, 0.02, 0.1):
        time.sleep(pause)
        _remove(path)


def _name(target: Path, process: object, kind: str) -> str:
    return f".{target.stem}.{platform.node()}-{process}.{kind}{target.suffix}"


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError, OverflowError):
        return True
    return True


def _remove_abandoned(target: Path) -> None:
    """Remove what earlier processes of this machine left beside a target when they were killed."""
    edges = [_name(target, "*", kind).split("*") for kind in _KINDS]
    for path in target.parent.iterdir():
        for before, after in edges:
            process = path.name[len(before) : -len(after)]
            if path.name == f"{before}{process}{after}" and process.isdigit() and not _is_running(process):
                _remove(path)


def remove_abandoned(folder: Path) -> None:
    """Remove what processes of this machine that were killed left half-written in a folder, for whatever target.

    Parameters
    ----------
    folder : Path
        One that belongs to this package alone.
    """
    form = re.compile(rf"\..+\.{re.escape(platform.node())}-(\d+)\.({'|'.join(_KINDS)})(\.[^.]*)?")
    for path in folder.iterdir():
        found = form.fullmatch(path.name)
        if found and not _is_running(found[1]):
            _remove(path)


def _system_number(error: OSError | SafetensorError) -> int:
    """Return the number of a system's error, which safetensors puts into words; 0 if there is none."""
    if isinstance(error, OSError):
        return error.errno or 0
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else 0


def _exchange(new: Path, target: Path, aside: Path) -> None:
    """Put a file or folder in the place of another."""
    # a folder is moved away whole: a process killed while it deletes must not leave half a store under the name
    if new.is_dir() and target.is_dir():
        target.replace(aside)
    try:
        new.replace(target)
    except OSError:
        if aside.is_dir():
            aside.replace(target)
        raise


def _explain_refusal(error: BaseException, target: Path) -> None:
    """Raise what a disk that is full or may not be written to means for the user, if that is what happened."""
    if isinstance(error, StoreError) or not isinstance(error, (OSError, SafetensorError)):
        return
    number = _system_number(error)
    if number not in _REMEDIES:
        return
    # what the body reads, or its temporary files, may lie on another disk
    place = str(getattr(error, "filename", None) or target)
    where = target if place.startswith(str(target.parent)) else place
    raise StoreError(explain(where, os.strerror(number), "a place to write to", _REMEDIES[number])) from error


@contextmanager
def replacing(path: str | Path, alone: bool = False) -> Iterator[Path]:
    """Give a temporary sibling to write to, and move it into place when all went well.

    Parameters
    ----------
    path : str or Path
        The file or folder to be made. A file or a store that stands there now is replaced.
    alone : bool
        Give a path in a temporary folder of its own, for a library that writes to a file of its own beside the one
        it was given: whatever a killed process leaves then lies where it will be found.

    Yields
    ------
    Path
        A path that does not exist yet, in the same folder (or in one inside it) and with the same suffix. The body
        makes a file or a folder there.

    Raises
    ------
    StoreError
        If the disk is full, read-only or not writable, or a folder that is no store stands there; nothing of the
        attempt is left.
    """
    # whole, because "." and ".." have no name beside which to write
    target = Path(os.path.abspath(path))
    if not target.name:
        raise StoreError(explain(target, "the root of all files", "a name", "choose another output"))
    temporary, aside = (target.with_name(_name(target, os.getpid(), kind)) for kind in _KINDS)
    try:
        refuse_foreign(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        _remove(temporary)
        if alone:
            temporary.mkdir()
        made = temporary / target.name if alone else temporary
        yield made
        _exchange(made, target, aside)
    except BaseException as failure:
        _remove_with_late_writes(temporary)
        _explain_refusal(failure, target)
        raise
    finally:
        _remove(aside)
        if alone:
            _remove(temporary)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole or not at all.

    Parameters
    ----------
    path : str or Path
        The file.
    text : str
        Its content.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as tab-separated values, whole or not at all.

    Parameters
    ----------
    path : str or Path
        The file.
    table : pandas.DataFrame
        Its rows; the index is left out, missing values are written as ``n/a`` (as BIDS does).
    """
    with replacing(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, na_rep="n/a", float_format="%.10g")


def write_parquet(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet, whole or not at all.

    Parameters
    ----------
    path : str or Path
        The file.
    table : pandas.DataFrame
        Its rows; the index is left out, columns keep their types.
    """
    import pyarrow  # loaded for this alone
    from pyarrow import parquet

    with replacing(path) as temporary:
        parquet.write_table(pyarrow.Table.from_pandas(table, preserve_index=False), temporary)
