"""A local object store that speaks the protocol of S3, and a proxy before it that misbehaves as told."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests
from moto.server import ThreadedMotoServer

PUBLIC = {"x-amz-acl": "public-read"}


@contextmanager
def object_store(files: Mapping[str, bytes], private: Collection[str] = ()) -> Iterator[str]:
    """Serve files from a bucket, most of which everybody may read; yield its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}/natural-scenes-dataset"
        requests.post(f"http://{host}:{port}/moto-api/reset", timeout=10).raise_for_status()
        requests.put(address, timeout=10).raise_for_status()
        for key, content in files.items():
            headers = {} if key in private else PUBLIC
            requests.put(f"{address}/{key}", data=content, headers=headers, timeout=10).raise_for_status()
        yield address
    finally:
        server.stop()


def upload_in_parts(address: str, key: str, content: bytes) -> None:
    """Put a file there as tools do for large ones, after which its ETag is no digest."""
    started = requests.post(f"{address}/{key}?uploads", headers=PUBLIC, timeout=10)
    upload = re.search("<UploadId>(.+?)</UploadId>", started.text)[1]
    part = requests.put(f"{address}/{key}?partNumber=1&uploadId={upload}", data=content, timeout=10)
    listing = f"<Part><PartNumber>1</PartNumber><ETag>{part.headers['ETag']}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{listing}</CompleteMultipartUpload>"
    requests.post(f"{address}/{key}?uploadId={upload}", data=body, timeout=10).raise_for_status()


@dataclass
class Faults:
    """What the proxy does to requests for keys that end in the given text, and what it was asked."""

    behind: str
    address: str = ""
    drop_after: int = 0
    drops: dict[str, int] = field(default_factory=dict)
    busy: dict[str, int] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)
    shorter: dict[str, int] = field(default_factory=dict)
    without_ranges: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    most_at_once: int = 0
    sent: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def due(self, faults: dict[str, int], path: str) -> bool:
        """Use up one of the faults of a path."""
        with self._lock:
            for ending in faults:
                if path.endswith(ending) and faults[ending] > 0:
                    faults[ending] -= 1
                    return True
        return False

    def entered(self, change: int) -> None:
        """Count requests that are being answered."""
        with self._lock:
            self._now += change
            self.most_at_once = max(self.most_at_once, self._now)


class _Proxy(BaseHTTPRequestHandler):
    faults: Faults

    def do_GET(self) -> None:
        faults = self.faults
        path = self.path.split("?")[0]
        headers = {name: value for name, value in self.headers.items() if name in ("Range", "If-Match")}
        if faults.without_ranges:
            headers.pop("Range", None)
        faults.asked.append((self.path, self.headers.get("Range")))
        faults.entered(1)
        try:
            self._answer(faults, path, headers)
        finally:
            faults.entered(-1)

    def _answer(self, faults: Faults, path: str, headers: dict[str, str]) -> None:
        if faults.due(faults.busy, path):
            self.send_response(503)
            self.send_header("Retry-After", "0")
            self.end_headers()
            return
        found = requests.get(faults.behind + self.path, headers=headers, timeout=10)
        body = found.content
        if faults.due(faults.wrong, path):
            body = bytes(len(body))
        if faults.due(faults.shorter, path):
            body = body[:-1]
        self.send_response(found.status_code)
        for name in ("ETag", "Content-Range"):
            if name in found.headers:
                self.send_header(name, found.headers[name])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if faults.due(faults.drops, path):
            body = body[: faults.drop_after]
        self.wfile.write(body)
        faults.sent += len(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def misbehaving(address: str) -> Iterator[Faults]:
    """Stand before a store; faults are set on what is yielded."""
    origin, bucket = address.rsplit("/", 1)
    faults = Faults(origin)
    handler = type("Handler", (_Proxy,), {"faults": faults})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        faults.address = f"http://127.0.0.1:{server.server_port}/{bucket}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield faults
        finally:
            server.shutdown()
            thread.join()
