"""What finished work leaves behind: nothing, also where processes were killed while they wrote."""

import multiprocessing
import os
import platform
import signal
from pathlib import Path

import numpy as np

from igc.store.atomic import replacing
from igc.streaming.partials import Partials


def write_and_wait(target: Path, ready) -> None:
    with replacing(target) as temporary:
        temporary.write_text("half")
        ready.set()
        signal.pause()


def test_what_a_killed_process_left_half_written_goes_with_the_states(tmp_path: Path) -> None:
    partials = Partials(tmp_path / "partials", "a" * 64, owner="map")
    partials.save("0", {"x": np.arange(3)})
    folder = partials.folder / partials.key[:16]
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=write_and_wait, args=(folder / "tasks.txt", ready), daemon=True)
    process.start()
    assert ready.wait(60)
    half = next(folder.glob(".tasks*"))

    partials.clear()
    assert [file.name for file in folder.iterdir()] == [half.name], "the process still writes"
    process.kill()
    process.join()
    foreign = folder / f".owner.{platform.node()}-elsewhere-{process.pid}.partial.txt"
    foreign.touch()
    partials.clear()
    assert list(folder.iterdir()) == [foreign], "written on another machine, perhaps still"
    foreign.unlink()
    partials.clear()
    assert not partials.folder.exists()
    assert os.listdir(tmp_path) == []
