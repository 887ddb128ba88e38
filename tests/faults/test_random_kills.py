"""A process that is killed at any moment, again and again: the same bits in the end, and nothing computed twice."""

import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest

from igc.config import MethodSettings
from igc.seeding import generator
from tests.faults.test_interruptions import values

pytestmark = pytest.mark.slow

KILLS = 20
SETTINGS = MethodSettings(method="igc", points=128)


def attribute(study: Path, output: Path, checkpoint: Path, log: Path, started: Event) -> None:
    """Attribute, noting every state that was computed before it is kept."""
    import torch

    from igc.steps.attribute import attribute_files
    from igc.streaming.partials import Partials

    torch.set_num_threads(1)
    save = Partials.save

    def noted(self: Partials, name: str, arrays: Any, *seconds: float) -> None:
        with log.open("a") as opened:
            opened.write(f"{os.getpid()} {self._file(name)}\n")
        time.sleep(0.004)
        save(self, name, arrays, *seconds)
        time.sleep(0.004)

    Partials.save = noted  # type: ignore[method-assign]
    started.set()
    places = {"samples": study / "samples.zarr", "model": study / "network", "rois": study / "rois.zarr"}
    attribute_files(**places, settings=SETTINGS, output=output, checkpoint=checkpoint, workers=1, progress=False)


def test_twenty_kills_at_random_moments_change_no_bit_and_waste_no_finished_state(study: Path, tmp_path: Path) -> None:
    # children come from a process that has imported everything, so that a start takes no seconds
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["igc.steps.attribute", "igc.models.files"])
    output, checkpoint, log = tmp_path / "igc.zarr", tmp_path / "partials", tmp_path / "log"
    log.touch()
    random, finished_before = generator(0, "kills"), {}

    def computed() -> list[list[str]]:
        return [line.split(" ", 1) for line in log.read_text().splitlines()]

    def run(place: Path, kept: Path, *, killed: bool) -> int | None:
        """Attribute, and kill it a random while after a random number of further states."""
        before, further = len(computed()), int(random.integers(0, 7))
        started = context.Event()
        process = context.Process(target=attribute, args=(study, place, kept, log, started))
        finished = {str(file) for file in kept.rglob("[!.]*.safetensors")}
        process.start()
        finished_before[process.pid] = finished
        assert started.wait(60)
        while killed and len(computed()) < before + further:
            assert process.is_alive()
            time.sleep(0.001)
        process.join(float(random.uniform(0, 0.03)) if killed else None)
        if killed and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        return process.exitcode

    assert run(tmp_path / "unbroken.zarr", tmp_path / "other", killed=False) == 0
    log.write_text("")
    for _ in range(KILLS):
        assert run(output, checkpoint, killed=True) == -signal.SIGKILL
        assert not output.exists()
    assert run(output, checkpoint, killed=False) == 0
    assert values(output) == values(tmp_path / "unbroken.zarr")
    assert len({pid for pid, _ in computed()}) > KILLS / 2
    assert not [file for pid, file in computed() if file in finished_before[int(pid)]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["igc.zarr", "log", "unbroken.zarr"]
