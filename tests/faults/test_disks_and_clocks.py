"""Disks that refuse to be written to at any moment, bits that flip, and clocks that do not agree."""

import errno
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

import igc
from igc.errors import ChecksumError, ModelError
from igc.roi.sets import open_rois
from igc.seeding import generator
from igc.store.arrays import read_values
from igc.streaming.partials import Partials
from tests.faults import studies
from tests.faults.studies import NETWORK, content, copied, done, flip_byte
from tests.faults.test_interruptions import (
    REMEDIES,
    attribute,
    check_one_line,
    kill_in_the_midst,
    partial_files,
    values,
    verbs,
)
from tests.faults.test_stale import scores

pytestmark = pytest.mark.slow


def refusing(number: int, after: int, whole: Callable[..., object]) -> Callable[..., object]:
    """Return a function that fails as a disk does, after it went well so many times."""
    calls = iter(range(10**9))

    def refuse(*arguments: object, **named: object) -> object:
        if next(calls) >= after:
            raise OSError(number, os.strerror(number))
        return whole(*arguments, **named)

    return refuse


# --- disks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize("verb", ["preprocess", "rois", "attribute"])
def test_a_store_that_cannot_be_written_ends_in_one_line_and_leaves_nothing(
    verb: str, after: int, number: int, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalStore, "set", refusing(number, after, LocalStore.set))
    output = tmp_path / "out"
    result = studies.igc(*verbs(study, output)[verb], "--output", output)
    assert result.exit_code == 2, result.output
    check_one_line(result.stderr, os.strerror(number))
    assert content(tmp_path) == {}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("verb", ["train", "checkpoint"])
def test_weights_and_states_that_cannot_be_written_end_in_one_line(
    verb: str, number: int, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "igc.store.weights.save_file" if verb == "train" else "igc.streaming.partials.save_file"
    monkeypatch.setattr(place, refusing(number, 0, lambda *_: None))
    output = tmp_path / "out"
    result = studies.igc(*verbs(study, output)[verb], "--output", output)
    assert result.exit_code == 2, result.output
    check_one_line(result.stderr, REMEDIES[number])
    assert not [name for name in content(tmp_path) if name.endswith((".json", ".safetensors"))]


@pytest.mark.parametrize("verb", ["preprocess", "train", "aggregate", "report", "config-schema"])
def test_results_on_a_read_only_disk_are_told_in_one_line(
    verb: str, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write anywhere, so the system's answer is given in its place."""
    mkdir, place = Path.mkdir, tmp_path / "read-only"

    def refuse(self: Path, *arguments: object, **named: object) -> None:
        if self.is_relative_to(place):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))
        mkdir(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", refuse)
    output = place / "out"
    result = studies.igc(*verbs(study, output)[verb], "--output", output)
    assert result.exit_code == 2, result.output
    check_one_line(result.stderr, "choose a folder that can be written to")
    assert not place.exists()


def read_only(*folders: Path) -> None:
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)


def test_inputs_need_only_be_read_and_no_file_of_them_is_touched(study: Path, tmp_path: Path) -> None:
    place = copied(study, tmp_path)
    inputs = [place / name for name in ("samples.zarr", "network", "rois.zarr", "maps", "arrays")]
    read_only(*inputs)
    before = {path: path.stat().st_mtime_ns for folder in inputs for path in (folder, *folder.rglob("*"))}
    for verb in ("preprocess", "rois", "train", "attribute", "aggregate", "compare", "report"):
        output = tmp_path / "made" / verb
        done(*verbs(place, output)[verb], "--output", output)
    assert {path: path.stat().st_mtime_ns for folder in inputs for path in (folder, *folder.rglob("*"))} == before


# --- bits -----------------------------------------------------------------------------------------------------------


def chunks(store: Path) -> list[Path]:
    return sorted(file for file in store.rglob("*") if file.is_file() and file.name != "zarr.json")


def read_all(store: Path) -> None:
    """Read every variable of a store."""
    if store.name == "rois.zarr":
        open_rois(store)
        return
    opened = igc.open_samples(store) if store.name == "samples.zarr" else igc.open_result(store)
    for name in {file.relative_to(store).parts[0] for file in chunks(store)}:
        read_values(opened[name])


@pytest.mark.parametrize("store", ["samples.zarr", "rois.zarr", "maps/igc.zarr"])
def test_a_flipped_bit_in_any_chunk_of_a_store_is_found(store: str, study: Path, tmp_path: Path) -> None:
    place, random = copied(study, tmp_path) / store, generator(0, "bits")
    read_all(place)
    assert chunks(place)
    for file in chunks(place):
        data = bytearray(whole := file.read_bytes())
        position = int(random.integers(8 * len(data)))
        data[position // 8] ^= 1 << position % 8
        file.write_bytes(bytes(data))
        with pytest.raises(ChecksumError, match="damaged data"):
            read_all(place)
        file.write_bytes(whole)


def test_every_flipped_bit_of_the_weights_is_found(study: Path, tmp_path: Path) -> None:
    place = copied(study, tmp_path) / "network"
    file, random = place / "model.safetensors", generator(1, "bits")
    whole = file.read_bytes()
    for position in [0, 7, 8, len(whole) - 1, *random.integers(0, len(whole), 40).tolist()]:
        file.write_bytes(whole)
        flip_byte(file, position)
        with pytest.raises(ModelError):
            igc.load_model(place)
    file.write_bytes(whole)
    assert igc.load_model(place)


@pytest.fixture(scope="module")
def killed(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of states of an attribution that was killed in its midst."""
    folder = tmp_path_factory.mktemp("killed")
    arguments = attribute(study, folder / "igc.zarr", folder / "partials")
    kill_in_the_midst(arguments, "igc.streaming.partials:Partials.save", folder, "units-*.safetensors", 6)
    return folder / "partials"


def interrupted(study: Path, killed: Path, folder: Path) -> tuple[list[str], list[Path]]:
    """Return the command that goes on with a copy of the states, and their files."""
    states = shutil.copytree(killed, folder / "partials")
    return attribute(study, folder / "igc.zarr", states), sorted(states.rglob("units-*.safetensors"))


def test_flipped_bits_in_kept_states_are_computed_again(study: Path, killed: Path, tmp_path: Path) -> None:
    arguments, finished = interrupted(study, killed, tmp_path)
    random = generator(2, "bits")
    for file in finished:
        flip_byte(file, int(random.integers(file.stat().st_size)))
    done(*arguments)
    assert values(tmp_path / "igc.zarr") == values(study / "maps" / "igc.zarr")


# --- clocks ---------------------------------------------------------------------------------------------------------


YEAR = 365 * 86_400.0


@pytest.mark.parametrize("shift", [-YEAR, YEAR])
def test_files_of_another_time_change_no_bit_and_kept_states_count(
    shift: float, study: Path, killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, finished = interrupted(study, killed, tmp_path)
    then = time.time() + shift
    for path in tmp_path.rglob("*"):
        os.utime(path, (then, then))
    saved: list[Path] = []
    save = Partials.save

    def watched(self: Partials, name: str, *rest: object, **named: object) -> None:
        saved.append(self._file(name))
        save(self, name, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Partials, "save", watched)
    done(*arguments)
    assert saved
    assert not set(saved) & set(finished)
    assert values(tmp_path / "igc.zarr") == values(study / "maps" / "igc.zarr")


def test_files_that_were_made_anew_at_the_same_time_are_read_anew(study: Path, tmp_path: Path) -> None:
    """As with a clock that was set back, or one that counts whole seconds."""
    place = copied(study, tmp_path)
    file = place / "network" / "model.json"
    then = file.stat().st_mtime_ns
    before = scores(place, "before")
    longer = json.dumps({**NETWORK, "training": {"epochs": 5}})
    done("train", "--settings", longer, "--samples", place / "samples.zarr", "--output", place / "network")
    os.utime(file, ns=(then, then))
    assert not np.allclose(before, scores(place, "after"))


def test_what_a_killed_process_left_is_removed_whatever_its_time(study: Path, tmp_path: Path) -> None:
    arguments = attribute(study, tmp_path / "igc.zarr", tmp_path / "partials")
    folder = tmp_path / "igc.zarr"
    abandoned = folder.with_name(f".igc.{os.uname().nodename}-999999999.partial.zarr")
    shutil.copytree(study / "maps" / "igc.zarr", abandoned)
    os.utime(abandoned, (time.time() + YEAR,) * 2)
    done(*arguments)
    assert not partial_files(tmp_path)
    assert zarr.open_group(folder, mode="r").attrs["method"] == "igc"
