"""Files and folders that exist whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from igc.errors import StoreError, explain

__all__ = ["replacing", "write_table", "write_text"]

_REMEDIES = {
    errno.ENOSPC: "free some disk space and run again",
    errno.EDQUOT: "free some of your quota and run again",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "choose a folder you may write to",
    errno.EFBIG: "raise the file size limit and run again",
}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary sibling to write to, and move it into place when all went well.

    Parameters
    ----------
    path : str or Path
        The file or folder to be made; what stands there now is replaced.

    Yields
    ------
    Path
        A path that does not exist yet, in the same folder and with the same suffix. The body makes a file or a
        folder there.

    Raises
    ------
    StoreError
        If the disk is full, read-only or not writable; nothing of the attempt is left.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        yield temporary
        if temporary.is_dir() and target.is_dir():
            shutil.rmtree(target)
        temporary.replace(target)
    except OSError as error:
        if isinstance(error, StoreError) or error.errno not in _REMEDIES:
            raise
        raise StoreError(explain(target, error.strerror, "a place to write to", _REMEDIES[error.errno])) from error
    finally:
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
