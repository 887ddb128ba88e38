"""Downloads: from several mirrors in turn, resumed where they broke off, and checked before they get their name."""

from __future__ import annotations

import gzip
import hashlib
import logging
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pooch

from igc.config import DataSource, HaxbyData, MnistData
from igc.data.mnist import FILES
from igc.data.nsd.fetching import fetch_nsd
from igc.errors import FetchError, explain
from igc.store.atomic import replacing

__all__ = ["FETCHERS", "MNIST_MIRRORS", "MNIST_SHA256", "fetch_data", "fetch_file", "fetch_haxby", "fetch_mnist"]

MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
"""Folders that hold the four gzipped IDX files, in the order in which they are tried."""

MNIST_SHA256 = dict(
    zip(
        FILES,
        (
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        strict=True,
    )
)
"""Hash of each file after decompression, which is the same whoever compressed it."""

_ATTEMPTS = 3
_TIMEOUT = 30.0


def _partial_file(target: Path, url: str) -> Path:
    """Each mirror has its own partial file: they may have compressed the content differently."""
    return target.with_name(f".{target.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.partial")


def _download(url: str, partial: Path) -> None:
    """Append what is missing to a partial file."""
    done = partial.stat().st_size if partial.exists() else 0
    # a server that compressed once more on the way could not be resumed at a byte
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={done}-"} if done else {})}
    downloader = pooch.HTTPDownloader(progressbar=False, headers=headers, timeout=_TIMEOUT)
    with partial.open("ab") as stream:
        downloader(url, stream, None)


def _unpack(packed: Path, target: Path, sha256: str) -> None:
    """Decompress into place, if the content is the expected one."""
    with replacing(target) as temporary:
        with packed.open("rb") as stream:
            compressed = stream.read(2) == b"\x1f\x8b"
        opener: Callable[..., Any] = gzip.open if compressed else open
        with opener(packed, "rb") as source, temporary.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        found = pooch.file_hash(str(temporary))
        if found != sha256:
            message = f"content with sha256 {found[:12]}..."
            raise ValueError(message)


def _fetch_from(url: str, target: Path, sha256: str) -> str | None:
    """Try one mirror a few times; return what went wrong, or None."""
    partial = _partial_file(target, url)
    problem = ""
    for _ in range(_ATTEMPTS):
        resumed = partial.exists() and partial.stat().st_size > 0
        try:
            _download(url, partial)
        except OSError as error:
            problem = str(error).splitlines()[0] if str(error) else type(error).__name__
            # a refusal (not found, range not satisfiable) will not improve by appending; a broken connection will
            if getattr(error, "response", None) is not None:
                partial.unlink(missing_ok=True)
                if not resumed:
                    return problem
            continue
        try:
            _unpack(partial, target, sha256)
        except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            partial.unlink(missing_ok=True)
            problem = f"{error}"
            # a server that ignores the range sends all again behind what was there: once more from the start
            if not resumed:
                return problem
            continue
        partial.unlink(missing_ok=True)
        return None
    return problem


def fetch_file(urls: Sequence[str], target: str | Path, sha256: str) -> None:
    """Download a file unless it is there, and keep it decompressed.

    Parameters
    ----------
    urls : sequence of str
        Mirrors, tried in order; the file may be gzipped there. A download that broke off is resumed, also by the
        next call.
    target : str or Path
        Where to put the content; appears when it is complete and correct.
    sha256 : str
        Hash of the content after decompression.

    Raises
    ------
    FetchError
        If no mirror delivered that content; the message says what each one did.
    """
    file = Path(target)
    if file.is_file() and pooch.file_hash(str(file)) == sha256:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    problems = []
    for url in urls:
        problem = _fetch_from(url, file, sha256)
        if problem is None:
            for partial in file.parent.glob(f".{file.name}.*.partial"):
                partial.unlink(missing_ok=True)
            return
        problems.append(f"{url}: {problem}")
    remedy = f"check the network, or put the file there by hand (sha256 {sha256})"
    raise FetchError(explain(file, "; ".join(problems), f"sha256 {sha256[:12]}... from one of the mirrors", remedy))


def fetch_mnist(data: MnistData, mirrors: Sequence[str] = MNIST_MIRRORS) -> None:
    """Download the four MNIST files.

    Parameters
    ----------
    data : MnistData
        Nothing is done unless its source is "download".
    mirrors : sequence of str
        Addresses of folders.

    Raises
    ------
    FetchError
        If no mirror delivered a file.
    """
    if data.source != "download":
        return
    for name in FILES:
        fetch_file([f"{mirror}{name}.gz" for mirror in mirrors], Path(data.download_folder) / name, MNIST_SHA256[name])


def fetch_haxby(data: HaxbyData) -> None:
    """Download one subject of the Haxby data through nilearn (about 310 MB).

    Parameters
    ----------
    data : HaxbyData
        Nothing is done unless its source is "download".

    Raises
    ------
    FetchError
        If nilearn could not fetch it.
    """
    if data.source != "download":
        return
    # nilearn takes seconds to import, and only this download needs it
    from nilearn import datasets

    try:
        datasets.fetch_haxby(data_dir=data.download_folder, subjects=[data.subject], verbose=0)
    except (OSError, ValueError, RuntimeError) as error:
        remedy = "check the network, or give the folder of an existing copy as data.source"
        raise FetchError(explain(data.download_folder, error, "the Haxby data from nilearn", remedy)) from error


FETCHERS: Mapping[str, Callable[[Any], None]] = {"mnist": fetch_mnist, "haxby": fetch_haxby, "nsd": fetch_nsd}
"""For each kind of dataset that can be downloaded, what does it."""


def fetch_data(data: DataSource) -> None:
    """Download what a dataset needs; the only place in the package that uses the network.

    Parameters
    ----------
    data : DataSource
        The ``data`` block of a study; embedded, simulated and own data need nothing.

    Raises
    ------
    FetchError
        If a download failed.
    """
    logging.getLogger("pooch").setLevel(logging.WARNING)
    fetcher = FETCHERS.get(data.kind)
    if fetcher is not None:
        fetcher(data)
