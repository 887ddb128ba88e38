"""A process that is killed, or a disk that is full, leaves nothing under a final name; the same command goes on."""

import errno
import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from igc.streaming.partials import Partials
from tests.faults.studies import NETWORK, array_settings, content, copied, done, igc

pytestmark = pytest.mark.slow

SLOWED = Path(__file__).parent / "slowed.py"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def kill_in_the_midst(arguments: list[str], slowed: str, folder: Path, pattern: str, count: int = 1) -> list[Path]:
    """Start a command, kill it when so many files of a pattern have appeared, and return those."""
    command = [sys.executable, str(SLOWED), slowed, "0.4", *arguments]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        end = time.monotonic() + 60
        while len(found := sorted(folder.rglob(pattern))) < count:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    return found


def partial_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if "partial" in path.name]


# --- killed ---------------------------------------------------------------------------------------------------------


def test_preprocessing_that_was_killed_starts_anew_and_leaves_no_trace(study: Path, tmp_path: Path) -> None:
    settings = ["--settings", array_settings(study / "arrays"), "--split", '{"folds": 2}']
    output = tmp_path / "killed" / "samples.zarr"
    arguments = ["preprocess", *settings, "--output", str(output)]
    kill_in_the_midst(arguments, "igc.store.arrays:StoreWriter.write", tmp_path, ".*.partial.zarr/inputs/c")
    assert not output.exists()
    assert partial_files(tmp_path)
    done(*arguments)
    assert content(output) == content(study / "samples.zarr")
    assert not partial_files(tmp_path)


def test_preprocessing_that_was_killed_leaves_the_store_that_was_there(study: Path, tmp_path: Path) -> None:
    place = copied(study, tmp_path)
    arguments = ["preprocess", "--settings", array_settings(place / "arrays"), "--output", str(place / "samples.zarr")]
    before = content(place / "samples.zarr")
    kill_in_the_midst(
        [*arguments, "--split", '{"folds": 4}'], "igc.store.arrays:StoreWriter.write", place, ".*.partial.zarr"
    )
    assert content(place / "samples.zarr") == before


def train(study: Path, output: Path) -> list[str]:
    samples = str(study / "samples.zarr")
    return ["train", "--settings", json.dumps(NETWORK), "--samples", samples, "--output", str(output)]


def test_training_that_was_killed_while_it_wrote_weights_is_no_model_yet(study: Path, tmp_path: Path) -> None:
    output = tmp_path / "network"
    arguments = train(study, output)
    kill_in_the_midst(arguments, "igc.store.weights:save_file", tmp_path, ".model.*.partial.safetensors")
    assert not (output / "model.safetensors").exists()
    assert not (output / "model.json").exists()
    done(*arguments)
    assert content(output).keys() == content(study / "network").keys()
    assert content(output)["model.safetensors"] == content(study / "network")["model.safetensors"]


def test_training_that_was_killed_between_epochs_goes_on_to_the_same_weights(study: Path, tmp_path: Path) -> None:
    output, scratch = tmp_path / "network", tmp_path / "scratch"
    arguments = [*train(study, output), "--scratch", str(scratch)]
    kill_in_the_midst(arguments, "lightning.pytorch:Trainer.save_checkpoint", scratch, "*.ckpt")
    assert not output.exists()
    done(*arguments)
    assert content(output)["model.safetensors"] == content(study / "network")["model.safetensors"]


def attribute(study: Path, output: Path, checkpoint: Path) -> list[str]:
    places = ["--samples", study / "samples.zarr", "--model", study / "network", "--rois", study / "rois.zarr"]
    arguments = ["attribute", "--settings", '{"method": "igc", "points": 2}', *places, "--output", output]
    return [str(argument) for argument in [*arguments, "--checkpoint", checkpoint]]


def values(store: Path) -> dict[str, str]:
    """Return the digests of all chunks of a result; its attributes hold the time it took."""
    return {name: digest for name, digest in content(store).items() if not name.endswith("zarr.json")}


def test_an_attribution_that_was_killed_goes_on_to_the_same_bits(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, checkpoint = tmp_path / "igc.zarr", tmp_path / "partials"
    arguments = attribute(study, output, checkpoint)
    slowed = "igc.streaming.partials:Partials.save"
    finished = kill_in_the_midst(arguments, slowed, checkpoint, "[!.]*.safetensors", 6)
    assert not output.exists()
    assert len(finished) >= 6
    computed: list[Path] = []
    save = Partials.save

    def watched(self: Partials, name: str, arrays: object, *seconds: float) -> None:
        computed.append(self._file(name))
        save(self, name, arrays, *seconds)  # type: ignore[arg-type]

    monkeypatch.setattr(Partials, "save", watched)
    done(*arguments)
    assert computed
    assert not set(computed) & set(finished)
    assert values(output) == values(study / "maps" / "igc.zarr")
    assert not checkpoint.exists()


def test_an_attribution_that_was_killed_while_it_kept_a_state_goes_on_to_the_same_bits(
    study: Path, tmp_path: Path
) -> None:
    output, checkpoint = tmp_path / "igc.zarr", tmp_path / "partials"
    arguments = attribute(study, output, checkpoint)
    kill_in_the_midst(arguments, "igc.streaming.partials:save_file", checkpoint, ".units*.partial.safetensors", 1)
    assert not output.exists()
    done(*arguments)
    assert values(output) == values(study / "maps" / "igc.zarr")
    assert not checkpoint.exists()


# --- no room --------------------------------------------------------------------------------------------------------


def verbs(study: Path, output: Path) -> dict[str, list[str]]:
    """Return a command of each verb that writes."""
    result, samples, rois = (str(study / name) for name in ("maps/igc.zarr", "samples.zarr", "rois.zarr"))
    sets = '{"halves": {"kind": "masks", "masks": {"first": "%s"}}}' % (study / "arrays" / "half.npy")
    common = ["--samples", samples]
    return {
        "preprocess": ["preprocess", "--settings", array_settings(study / "arrays"), "--split", '{"folds": 2}'],
        "rois": ["rois", "--settings", sets, *common],
        "train": train(study, output)[:-2],
        "attribute": attribute(study, output, output.with_name("partials"))[:-4],
        "checkpoint": [*attribute(study, output, output.with_name("partials"))[:-4], "--checkpoint", str(output)],
        "aggregate": ["aggregate", result, "--rois", rois],
        "compare": ["compare", result, *common, "--scores", str(study / "network" / "scores.tsv")],
        "report": ["report", result, *common, "--rois", rois, "--model", str(study / "network")],
        "config-schema": ["config-schema"],
    }


VERBS = list(verbs(Path(), Path("x")))


def check_one_line(error: str, word: str) -> None:
    assert error.startswith("error: ")
    assert error.count("\n") == 1, error
    assert word in error


REMEDIES = {
    errno.ENOSPC: "free some disk space",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "choose a folder you may write to",
    errno.EIO: "free some space, correct the path",
}
REFUSALS = [*((verb, errno.ENOSPC) for verb in VERBS), *(("aggregate", number) for number in REMEDIES)]


@pytest.mark.parametrize(("verb", "number"), REFUSALS)
def test_a_disk_that_refuses_the_last_step_ends_in_one_line_and_leaves_nothing(
    verb: str, number: int, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number), str(source), None, str(target))

    monkeypatch.setattr(Path, "replace", refuse)
    output = tmp_path / "out"
    result = igc(*verbs(study, output)[verb], "--output", output)
    assert result.exit_code == 2, result.output
    check_one_line(result.stderr, REMEDIES[number])
    assert os.strerror(number) in result.stderr
    assert content(tmp_path) == {}


@pytest.mark.parametrize("verb", ["preprocess", "train", "checkpoint"])
def test_a_disk_that_is_full_while_writing_ends_in_one_line_and_leaves_nothing(
    verb: str, study: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    limit = 600 if verb == "checkpoint" else 1500

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-m", "igc", *verbs(study, output)[verb], "--output", str(output)]
    environment = {**ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, preexec_fn=limited, cwd=tmp_path
    )
    assert ended.returncode == 2, ended.stderr
    check_one_line(ended.stderr, os.strerror(errno.EFBIG))
    assert not partial_files(tmp_path)
    assert not [name for name in content(output) if name.endswith((".json", ".safetensors"))]


@pytest.mark.parametrize("verb", ["preprocess", "train", "config-schema"])
def test_a_file_in_the_way_of_the_output_is_told_in_one_line_and_stays(verb: str, study: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    result = igc(*verbs(study, file / "out")[verb], "--output", file / "out")
    assert result.exit_code == 2, result.output
    check_one_line(result.stderr, str(file))
    assert file.read_text() == "mine"


@pytest.mark.parametrize("verb", ["preprocess", "rois", "attribute"])
def test_a_folder_of_something_else_is_never_replaced(verb: str, study: Path, tmp_path: Path) -> None:
    place = copied(study, tmp_path)
    before = content(place)
    for folder in (place, place / "brain", place / "network"):
        result = igc(*verbs(study, folder)[verb], "--output", folder)
        assert result.exit_code == 2, result.output
        check_one_line(result.stderr, "a folder that holds something else")
    assert content(place) == before


def test_what_a_workflow_left_of_a_store_is_replaced(study: Path, tmp_path: Path) -> None:
    place = copied(study, tmp_path)
    before = content(place)
    (place / "samples.zarr" / "zarr.json").unlink()
    done(*verbs(study, place)["preprocess"], "--output", place / "samples.zarr" / "zarr.json")
    assert content(place) == before


def test_no_room_for_temporary_files_is_told_in_one_line(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = copied(study, tmp_path)
    for file in list((place / "digits").iterdir()):
        (place / "digits" / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    before = content(tmp_path)

    def full(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/spool")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    settings = json.dumps({"kind": "mnist", "source": str(place / "digits")})
    result = igc("preprocess", "--settings", settings, "--output", place / "out.zarr")
    assert result.exit_code == 2, result.output
    check_one_line(result.stderr, "/tmp/spool: found No space left on device")
    assert content(tmp_path) == before
