"""Who may talk to the workers of an attribution: whoever can reach a scheduler of Dask can run code on its workers."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dask
import psutil
import pytest
import torch
from distributed.security import Security

from igc.steps.execution import open_execution
from tests.faults.studies import done, igc, write_study
from tests.faults.test_interruptions import ENVIRONMENT, attribute, check_one_line, values
from tests.faults.test_workers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.dask]

PARTS = {"ca-file": "tls_ca_file", "cert": "tls_{}_cert", "key": "tls_{}_key"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("good") / "study")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Write the files that who may take part has: authority, certificate and key."""
    folder, made = tmp_path_factory.mktemp("certificates"), Security.temporary()
    for name, field in PARTS.items():
        (folder / name).write_text(getattr(made, field.format("client")))
    return {name: str(folder / name) for name in PARTS}


def configuration(certificates: dict[str, str]) -> dict[str, object]:
    """Return what a user sets, in a file or by variables such as DASK_DISTRIBUTED__COMM__TLS__CA_FILE."""
    tls = "distributed.comm.tls"
    client = {f"{tls}.client.{name}": certificates[name] for name in ("cert", "key")}
    return {"distributed.comm.require-encryption": True, f"{tls}.ca-file": certificates["ca-file"], **client}


@contextmanager
def encrypted_cluster(certificates: dict[str, str], folder: Path) -> Iterator[str]:
    """Start a scheduler and a worker that take part only in encrypted connections."""
    words = [f"--tls-{name}={file}" for name, file in certificates.items()]
    address = f"tls://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    commands = [
        ["scheduler", "--host", "127.0.0.1", "--port", port, "--protocol", "tls"],
        ["worker", address, "--nthreads", "1", "--no-nanny", "--local-directory", str(folder)],
    ]
    with ExitStack() as stack:
        for command in commands:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "dask", *command, "--no-dashboard", *words],
                    env=ENVIRONMENT,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
            stack.callback(process.kill)
        end = time.monotonic() + 30
        while socket.socket().connect_ex(("127.0.0.1", int(port))):
            assert time.monotonic() < end
            time.sleep(0.05)
        yield address


def listening(pids: list[int]) -> set[str]:
    """Return the addresses at which processes can be reached."""
    connections = [found for pid in pids for found in psutil.Process(pid).net_connections(kind="inet")]
    return {found.laddr.ip for found in connections if found.status == psutil.CONN_LISTEN}


def test_workers_of_this_machine_listen_on_its_loopback_alone() -> None:
    with open_execution(2, torch.device("cpu")) as execution:
        own = os.getpid()
        pids = [own, *(child.pid for child in psutil.Process(own).children(recursive=True))]
        assert execution.client.scheduler.address.startswith("tcp://127.0.0.1:")
        found = listening(pids)
    assert found
    assert found <= {"127.0.0.1", "::1"}


@pytest.mark.heavy
def test_an_encrypted_scheduler_takes_who_has_the_certificate_and_nobody_else(
    study: Path, certificates: dict[str, str], tmp_path: Path
) -> None:
    output = tmp_path / "igc.zarr"
    arguments = attribute(study, output, tmp_path / "partials")
    with encrypted_cluster(certificates, tmp_path) as address:
        for wrong in (address, address.replace("tls", "tcp")):
            refused = igc(*arguments, "--scheduler", wrong)
            assert refused.exit_code == 2, refused.output
            check_one_line(refused.stderr, "the address of a running Dask scheduler")
        assert not output.exists()
        with dask.config.set(configuration(certificates)):
            done(*arguments, "--scheduler", address)
    assert values(output) == values(study / "maps" / "igc.zarr")
