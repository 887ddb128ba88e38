"""Jobs of ``python -m igc`` without the seconds that imports take: forked from a process that has done them.

``python warm.py SOCKET FOLDER``, started in a checkout, imports what jobs use and waits. A program in the place of
``python`` (see :func:`write_stand_in`) hands every ``python -m igc ...`` to it, with its arguments, environment,
working folder and open files, and ends as the job does; all else goes to the real Python. A job is a process of its
own, as it is without this, and FOLDER holds a file for each that runs, named by its number.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import selectors
import signal
import socket
import stat
import sys
from importlib import import_module
from pathlib import Path

MODULES = (
    "igc.cli",
    *(f"igc.steps.{name}" for name in ("attribute", "train", "report", "compare", "aggregate", "yardsticks", "bids")),
    *("lightning", "nilearn.plotting", "sklearn.linear_model", "himalaya.ridge", "captum.attr", "matplotlib.pyplot"),
    *("distributed", "dask.array", "torch.fx", "sympy", "scipy.stats", "safetensors.torch", "pyarrow.parquet"),
)
STAND_IN = """#!{python} -SE
import array, json, os, socket, sys
if sys.argv[1:3] != ["-m", "igc"]:
    os.execv("{python}", ["python", *sys.argv[1:]])
line = socket.socket(socket.AF_UNIX)
line.connect("{address}")
job = json.dumps([sys.argv[3:], os.getcwd(), dict(os.environ)]).encode()
line.sendmsg([len(job).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
line.sendall(job)
told = line.recv(16)
sys.exit(int(told) if told else 1)
"""


def write_stand_in(folder, address):
    """Write the program ``python`` into a folder that is to come first on the path."""
    folder.mkdir(parents=True)
    file = folder / "python"
    file.write_text(STAND_IN.format(python=sys.executable, address=address))
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def received(line):
    """Return the open files, arguments, folder and environment of a job."""
    head, files, _, _ = socket.recv_fds(line, 8, 3)
    size, content = int.from_bytes(head, "big"), b""
    while len(content) < size:
        content += line.recv(size - len(content))
    return files, *json.loads(content)


def run(files, arguments, folder, environment):
    """Become the job."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["igc", *arguments]
    try:
        runpy.run_module("igc", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    else:
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Forge:
    """Forks a job for every call, and tells the caller how it ended."""

    def __init__(self, address, folder):
        self.listening, self.folder, self.jobs = socket.socket(socket.AF_UNIX), folder, {}
        self.ended, self.told = socket.socketpair()
        for one in (self.ended, self.told):
            one.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.told.fileno())
        self.listening.bind(str(address))
        self.listening.listen(64)

    def serve(self):
        """Wait for calls and for the ends of jobs."""
        waiting = selectors.DefaultSelector()
        for one in (self.listening, self.ended):
            waiting.register(one, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is self.listening:
                    self.start(self.listening.accept()[0])
                else:
                    self.ended.recv(4096)
                    self.tell()

    def start(self, line):
        """Fork the job of a caller."""
        job = received(line)
        number = os.fork()
        if number == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for one in (self.listening, self.ended, self.told, line, *self.jobs.values()):
                one.close()
            run(*job)
        for file in job[0]:
            os.close(file)
        self.jobs[number] = line
        (self.folder / str(number)).write_text(job[1][0])

    def tell(self):
        """Tell the callers of jobs that have ended."""
        while self.jobs:
            number, status = os.waitpid(-1, os.WNOHANG)
            if not number:
                return
            (self.folder / str(number)).unlink()
            code = os.waitstatus_to_exitcode(status)
            line = self.jobs.pop(number)
            with contextlib.suppress(OSError):  # the caller is dead
                line.sendall(str(code if code >= 0 else 128 - code).encode())
            line.close()


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    for module in MODULES:
        import_module(module)
    Forge(Path(sys.argv[1]), Path(sys.argv[2])).serve()
