import json

import numpy as np
import pytest
from typer.testing import CliRunner

from igc.cli import app
from igc.config import NsdData
from igc.data.bucket import Bucket
from igc.data.fetch import fetch_data
from igc.data.nsd.fetching import fetch_nsd
from igc.data.nsd.source import open_nsd
from igc.data.nsd.wanted import chosen_keys
from igc.errors import ConfigError, FetchError
from tests.data.store import misbehaving, object_store


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def settings(folder, address="http://127.0.0.1:9/nothing", **changes):
    block = {"kind": "nsd", "folder": str(folder), "source": "download", "bucket": address, "sessions": 1}
    return NsdData(**{**block, "atlases": {"areas": "prf-visualrois"}, **changes})


@pytest.fixture(scope="module")
def content(small):
    return {path.relative_to(small).as_posix(): path for path in small.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def address(content):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        kept = {key: path.read_bytes() for key, path in content.items() if "surface" not in key and "1mm" not in key}
        with object_store(kept) as served:
            yield served


def test_nothing_is_asked_for_before_the_terms_are_accepted(tmp_path):
    for call in (fetch_nsd, fetch_data):
        with pytest.raises(ConfigError, match=r"data\.terms_accepted: found false.*naturalscenesdataset\.org"):
            call(settings(tmp_path / "nsd"))
    assert not (tmp_path / "nsd").exists()
    result = CliRunner().invoke(app, ["fetch", "--settings", settings(tmp_path / "nsd").model_dump_json()])
    assert result.exit_code == 2
    assert result.output.count("\n") == 1


def test_files_that_are_there_need_no_network(tmp_path):
    fetch_data(settings(tmp_path, source="folder"))
    assert not list(tmp_path.iterdir())


def test_command_says_how_much_it_is_and_brings_what_the_study_reads(address, content, small, tmp_path):
    data = settings(tmp_path, address, terms_accepted=True)
    keys = chosen_keys(data, content)
    with misbehaving(address) as faults:
        # a connection that breaks, a server that is busy, and bytes that are wrong
        faults.drop_after, faults.drops = 1000, {"nsd_stimuli.hdf5": 2}
        faults.busy, faults.wrong = {"nsd_expdesign.mat": 1}, {"responses.tsv": 1}
        text = json.dumps(data.model_dump(mode="json") | {"bucket": faults.address})
        result = CliRunner().invoke(app, ["fetch", "--settings", text])
    assert result.exit_code == 0, result.output
    size = sum(content[key].stat().st_size for key in keys)
    assert result.stderr.startswith(f"{len(keys)} files, {size / 1e9:.3f} GB to fetch into {tmp_path}; 0 are there")
    found = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {key: content[key].read_bytes() for key in keys}
    with open_nsd(data, 0) as here, open_nsd(settings(small), 0) as whole:
        rows = np.arange(40)
        for ours, theirs in zip(here.read(rows), whole.read(rows), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_size_is_said_before_the_first_byte_and_a_second_call_fetches_nothing(address, tmp_path, capsys):
    data = settings(tmp_path, address, terms_accepted=True)

    class Watched(Bucket):
        def fetch(self, remotes, folder, watch):
            assert "GB to fetch" in capsys.readouterr().err
            super().fetch(remotes, folder, watch)

    fetch_nsd(data, Watched(address))
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    capsys.readouterr()
    fetch_nsd(data)
    assert capsys.readouterr().err.startswith("0 files, 0.000 GB")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times


def test_failure_leaves_what_the_next_call_goes_on_from(address, content, tmp_path):
    data = settings(tmp_path, address, terms_accepted=True)
    with misbehaving(address) as faults:
        faults.drop_after, faults.drops = 0, {"betas_session01.hdf5": 99}
        with pytest.raises(FetchError, match="run again to go on"):
            fetch_nsd(data, Bucket(faults.address, pause=0.001))
        there = {path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".partial"}
        faults.drops.clear()
        faults.asked.clear()
        fetch_nsd(data, Bucket(faults.address, pause=0.001))
        asked = {path.split("?")[0].split("/", 2)[2] for path, _ in faults.asked} - {""}
    assert asked == {key for key in chosen_keys(data, content) if tmp_path / key not in there}


def test_study_that_the_dataset_cannot_serve_is_refused_before_anything_is_fetched(address, tmp_path):
    with pytest.raises(FetchError, match="prf-eccrois"):
        fetch_nsd(settings(tmp_path / "nsd", address, terms_accepted=True, mask="prf-eccrois"))
    with pytest.raises(FetchError, match="no sessions"):
        fetch_nsd(settings(tmp_path / "nsd", address, terms_accepted=True, subject=7))
    assert not (tmp_path / "nsd").exists()
