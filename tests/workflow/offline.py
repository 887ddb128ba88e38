"""A machine without a network, for the processes of a run."""

from pathlib import Path

# what Python runs before everything else in a process that finds it on its path
BLOCK = """
import json, os, socket, sys

def _note(address):
    with open(NOTED, "a") as opened:
        opened.write(json.dumps([sys.argv, str(address)]) + chr(10))

_connect = socket.socket.connect

def connect(self, address):
    # a datagram socket sends nothing when it is connected: so the own address is looked up
    reaches = self.family != socket.AF_UNIX and self.type != socket.SOCK_DGRAM
    if reaches and address[0] not in ("127.0.0.1", "::1", "localhost"):
        _note(address)
        raise OSError(101, "Network is unreachable")
    return _connect(self, address)

def resolve(host, *arguments, **named):
    if host in (None, "", "localhost", "127.0.0.1", "::1"):
        return _resolve(host, *arguments, **named)
    _note(host)
    raise OSError(-3, "Temporary failure in name resolution")

socket.socket.connect = connect
_resolve, socket.getaddrinfo = socket.getaddrinfo, resolve
"""


def block_network(folder: Path) -> Path:
    """Let no process that has a folder first on its path reach a network; return where attempts are noted."""
    noted = folder / "attempts.txt"
    noted.touch()
    (folder / "sitecustomize.py").write_text(f"NOTED = {str(noted)!r}\n{BLOCK}", encoding="utf-8")
    return noted
