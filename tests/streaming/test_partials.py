"""What finished work leaves behind: nothing, also where processes were killed while they wrote."""

import multiprocessing
import os
import platform
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from igc.store.atomic import replacing
from igc.store.weights import write_model
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


def save_and_die(folder: Path, save: str) -> None:
    """Save as one who is killed while safetensors writes to a file of its own beside the one it was given."""
    from igc.store import weights
    from igc.streaming import partials

    def save_file(arrays: object, filename: Path, **_: object) -> None:
        (filename.parent / ".tmpAbCdEf").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    weights.save_file = partials.save_file = save_file  # type: ignore[assignment]
    if save == "state":
        Partials(folder, "a" * 64).save("units-0", {"x": np.arange(3)})
    else:
        weights.write_model(folder, {"fold0.weight": torch.ones(3)}, {})


@pytest.mark.parametrize("save", ["state", "model"])
def test_what_safetensors_left_half_written_goes_too(tmp_path: Path, save: str) -> None:
    folder = tmp_path / "place"
    process = multiprocessing.get_context("spawn").Process(target=save_and_die, args=(folder, save), daemon=True)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert len(list(folder.rglob(".tmp*"))) == 1
    if save == "state":
        Partials(folder, "a" * 64).clear()
        assert os.listdir(tmp_path) == []
    else:
        write_model(folder, {"fold0.weight": torch.ones(3)}, {})
        assert sorted(os.listdir(folder)) == ["model.json", "model.safetensors"]
