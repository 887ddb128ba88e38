"""Files of a public bucket over anonymous HTTP: listed, fetched a few at a time, resumed, and checked.

A bucket that speaks the protocol of S3 tells the size and the ETag of each object. The ETag of an object that was
uploaded in one piece is the MD5 of its content; of others only the size can be checked.
"""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote
from xml.etree import ElementTree

import requests
from urllib3.exceptions import HTTPError

from igc.errors import FetchError, explain

__all__ = ["Bucket", "Remote", "Watch", "is_there"]

CONNECTIONS = 4
"""Files fetched at the same time: enough to fill a line, few enough to be polite."""

_ATTEMPTS = 6
_LONGEST_PAUSE = 60.0
_TIMEOUT = 30.0
_PIECE = 1 << 18
# too many requests, and what a server says that is busy or being restarted
_BUSY = frozenset({429, 500, 502, 503, 504})
Watch = Callable[[int], None]
T = TypeVar("T")


class _BrokenError(Exception):
    """A connection that may work when tried again, after as many seconds as the server asks for."""

    def __init__(self, problem: str, seconds: float = 0.0) -> None:
        super().__init__(problem)
        self.seconds = seconds


@dataclass(frozen=True)
class Remote:
    """One object of a bucket.

    Attributes
    ----------
    key : str
        Its path in the bucket.
    size : int
        Bytes.
    etag : str
        What changes when the content does.
    """

    key: str
    size: int
    etag: str

    @property
    def md5(self) -> str | None:
        """MD5 of the content, where the ETag is one."""
        return self.etag if re.fullmatch(r"[0-9a-f]{32}", self.etag) else None

    def partial(self, folder: Path) -> Path:
        """Return where what has arrived is kept; another content under the same key has another place."""
        target = folder / self.key
        return target.with_name(f".{target.name}.{hashlib.sha256(self.etag.encode()).hexdigest()[:8]}.partial")


def is_there(remote: Remote, folder: Path) -> bool:
    """Tell whether a file of the right size has its final name, which it gets only after it was checked."""
    target = folder / remote.key
    return target.is_file() and target.stat().st_size == remote.size


@dataclass
class Bucket:
    """A public bucket.

    Attributes
    ----------
    address : str
        Address of the bucket, without a slash at the end: keys follow after one.
    pause : float
        Seconds before the second attempt; each further one waits about twice as long.
    page : int
        Files that are listed at once.
    """

    address: str
    pause: float = 1.0
    page: int = 1000
    _session: requests.Session = field(init=False, repr=False)
    _stop: threading.Event = field(init=False, repr=False, default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.address = self.address.rstrip("/")
        self._session = requests.Session()
        self._session.mount(self.address, requests.adapters.HTTPAdapter(pool_maxsize=CONNECTIONS))

    def files(self, folder: str) -> Iterator[Remote]:
        """List the files that lie in a folder, without those of folders within.

        Parameters
        ----------
        folder : str
            Key of the folder, with a slash at the end.

        Yields
        ------
        Remote

        Raises
        ------
        FetchError
            If the bucket does not answer, or answers something else than a listing.
        """
        query = {"list-type": "2", "delimiter": "/", "prefix": folder, "max-keys": str(self.page)}
        while True:
            page = self._page(query)
            for item in page.iterfind("{*}Contents"):
                key, size, etag = (item.findtext("{*}" + name) or "" for name in ("Key", "Size", "ETag"))
                # keys become paths below a folder of the user, who does not know who answers at the address
                if not key.startswith(folder) or ".." in key.split("/") or not size.isdecimal():
                    allowed = f"keys below {folder} with their sizes"
                    remedy = "correct the address of the bucket"
                    raise FetchError(explain(self.address, f"the key {key!r} of size {size!r}", allowed, remedy))
                yield Remote(key, int(size), etag.strip('"'))
            token = page.findtext("{*}NextContinuationToken")
            if page.findtext("{*}IsTruncated") != "true" or not token:
                return
            query["continuation-token"] = token

    def _page(self, query: Mapping[str, str]) -> ElementTree.Element:
        text = self._persist(f"{self.address}/", lambda: self._get(f"{self.address}/", {}, query).content)
        try:
            # expat since 2.4 refuses entities that expand without end
            page = ElementTree.fromstring(text)  # noqa: S314
        except ElementTree.ParseError as error:
            page = ElementTree.Element(f"unreadable: {error}")
        if not page.tag.endswith("ListBucketResult"):
            remedy = "correct the address of the bucket"
            raise FetchError(explain(self.address, f"an answer <{page.tag}>", "a listing as S3 gives it", remedy))
        return page

    def fetch(self, remotes: Sequence[Remote], folder: Path, watch: Watch) -> None:
        """Fetch files, a few at a time, the largest first; what is there already is left alone.

        Parameters
        ----------
        remotes : sequence of Remote
            What to fetch.
        folder : Path
            Each file appears below it under its key, when it is complete and correct. What was interrupted is resumed
            by the next call.
        watch : callable
            Called from several threads with bytes that arrived, negative where some turned out to be wrong.

        Raises
        ------
        FetchError
            If a file cannot be fetched; the others are stopped and resumed by the next call.
        """
        self._stop.clear()
        missing = sorted((one for one in remotes if not is_there(one, folder)), key=lambda one: (-one.size, one.key))
        _check_room(missing, folder)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            jobs = [pool.submit(self._fetch_file, one, folder, watch) for one in missing]
            try:
                for job in as_completed(jobs):
                    job.result()
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _fetch_file(self, remote: Remote, folder: Path, watch: Watch) -> None:
        target, partial, url = folder / remote.key, remote.partial(folder), f"{self.address}/{quote(remote.key)}"
        target.parent.mkdir(parents=True, exist_ok=True)
        watch(_size(partial))
        for _ in range(2):
            self._persist(url, lambda: self._complete(url, remote, partial, watch), lambda: _size(partial))
            problem = _wrong(partial, remote)
            if problem is None:
                break
            # once more from the start: what was resumed may have been damaged
            watch(-_size(partial))
            partial.unlink(missing_ok=True)
        else:
            remedy = "run again later; if it stays, the file in the bucket is damaged"
            raise FetchError(explain(url, problem, f"{remote.size} bytes with ETag {remote.etag}", remedy))
        partial.replace(target)
        for stale in target.parent.glob(f".{target.name}.*.partial"):
            stale.unlink(missing_ok=True)

    def _complete(self, url: str, remote: Remote, partial: Path, watch: Watch) -> None:
        """Append what is missing to a partial file."""
        done = _size(partial)
        if done >= remote.size > 0:
            return
        headers = {"If-Match": f'"{remote.etag}"', **({"Range": f"bytes={done}-"} if done else {})}
        with self._get(url, headers, {}, stream=True) as response, partial.open("ab") as sink:
            expected = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            start = int(expected[1]) if response.status_code == 206 and expected else 0
            if start > done:
                raise _BrokenError(f"the bytes from {start} on in place of those from {done} on")
            # a server that does not know ranges sends all again
            sink.truncate(start)
            watch(start - done)
            # what has arrived, however little: a longer piece would be lost when the connection breaks
            while piece := response.raw.read1(_PIECE, decode_content=False):
                if self._stop.is_set():
                    raise FetchError(explain(url, "an interruption", "all bytes", "run again to go on"))
                sink.write(piece)
                watch(len(piece))
        if _size(partial) < remote.size:
            raise _BrokenError(f"{_size(partial)} of {remote.size} bytes")

    def _get(
        self, url: str, headers: Mapping[str, str], query: Mapping[str, str], stream: bool = False
    ) -> requests.Response:
        # a server that compressed once more on the way could not be resumed at a byte
        sent = {"Accept-Encoding": "identity", **headers}
        response = self._session.get(url, headers=sent, params=query, stream=stream, timeout=_TIMEOUT)
        if response.status_code < 400:
            return response
        with response:
            problem = f"status {response.status_code} {response.reason}"
            if response.status_code in _BUSY:
                waited = response.headers.get("Retry-After", "")
                raise _BrokenError(problem, float(waited) if waited.isdecimal() else 0.0)
            if response.status_code == 412:
                problem = "another content than the listing promised"
            code = re.search(r"<Code>(\w+)</Code>", response.text)
        seen = f"{problem} ({code[1]})" if code else problem
        raise FetchError(explain(url, seen, "the file", "check the address of the bucket, or run again later"))

    def _persist(self, url: str, action: Callable[[], T], done: Callable[[], int] = lambda: 0) -> T:
        """Try again as long as it gets on, and a few times where it does not, with growing pauses."""
        failures, before = 0, done()
        while True:
            try:
                return action()
            except (_BrokenError, requests.RequestException, HTTPError) as error:
                failures = failures + 1 if done() <= before else 1
                before = max(before, done())
                if failures >= _ATTEMPTS:
                    problem = f"{error} ({failures} attempts)"
                    remedy = "check the network, and run again to go on"
                    raise FetchError(explain(url, problem, "an answer", remedy)) from error
                self._wait(failures, getattr(error, "seconds", 0.0))

    def _wait(self, failures: int, asked: float) -> None:
        # not all at the same moment again; nothing secret depends on this number
        drawn = self.pause * 2 ** (failures - 1) * random.uniform(0.75, 1.25)  # noqa: S311
        until = time.monotonic() + min(max(drawn, asked), _LONGEST_PAUSE)
        if self._stop.wait(max(0.0, until - time.monotonic())):
            raise FetchError(explain(self.address, "an interruption", "all files", "run again to go on"))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _wrong(path: Path, remote: Remote) -> str | None:
    """Say what is wrong with a file, or None."""
    if _size(path) != remote.size:
        return f"{_size(path)} bytes"
    if remote.md5 is None:
        return None
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return None if digest.hexdigest() == remote.md5 else f"content with MD5 {digest.hexdigest()}"


def _check_room(missing: Sequence[Remote], folder: Path) -> None:
    home = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    needed = sum(one.size - _size(one.partial(folder)) for one in missing)
    free = shutil.disk_usage(home).free
    if needed > free:
        seen = f"{free / 1e9:.1f} GB free"
        raise FetchError(explain(home, seen, f"at least {needed / 1e9:.1f} GB", "free some space, or use another disk"))
