from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from igc.errors import ChecksumError, ConfigError, DataError
from igc.roi.aggregate import COLUMNS
from igc.roi.sets import from_labels, save_rois
from igc.steps.aggregate import aggregate
from tests.roi.synthetic import make_result, write

SHAPE = (1, 6, 8)
SETS = {"areas": from_labels("areas", np.arange(48).reshape(SHAPE) % 4, {1: "one", 2: "two", 3: "three"})}


@pytest.fixture
def rois(tmp_path: Path) -> Path:
    save_rois(SETS, tmp_path / "rois.zarr")
    return tmp_path / "rois.zarr"


def test_each_result_gets_its_table(tmp_path: Path, rois: Path) -> None:
    results = [write(make_result(SHAPE, SETS, seed=seed), tmp_path / f"{seed}.zarr") for seed in (1, 2)]
    outputs = [tmp_path / "rois" / "cnn-seed0" / f"{seed}.tsv" for seed in (1, 2)]
    aggregate(results, outputs, rois)
    for seed, output in zip((1, 2), outputs, strict=True):
        table = pd.read_csv(output, sep="\t", keep_default_na=False, na_values=["n/a"])
        assert tuple(table.columns) == COLUMNS
        expected = make_result(SHAPE, SETS, seed=seed)["roi_attribution"].values
        np.testing.assert_allclose(table["attribution"], expected.reshape(-1), rtol=1e-9)
        assert table["n_components"].tolist() == [12] * 12


def test_a_result_without_regions_gives_a_table_without_rows(tmp_path: Path) -> None:
    result = write(make_result(SHAPE), tmp_path / "igc.zarr")
    aggregate([result], [tmp_path / "igc.tsv"])
    assert (tmp_path / "igc.tsv").read_text().split() == list(COLUMNS)


def test_nothing_is_written_when_one_result_does_not_close(tmp_path: Path, rois: Path) -> None:
    broken = make_result(SHAPE, SETS)
    broken["score"][0] += 0.01
    results = [write(make_result(SHAPE, SETS), tmp_path / "good.zarr"), write(broken, tmp_path / "bad.zarr")]
    with pytest.raises(DataError, match=r"bad\.zarr: .*set 'areas'"):
        aggregate(results, [tmp_path / "good.tsv", tmp_path / "bad.tsv"], rois)
    assert not list(tmp_path.glob("*.tsv"))


def test_outputs_must_match_results(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1 results and 0 outputs"):
        aggregate([tmp_path / "igc.zarr"], [])


def test_a_damaged_result_is_noticed(tmp_path: Path, rois: Path) -> None:
    path = write(make_result(SHAPE, SETS), tmp_path / "igc.zarr")
    chunk = next(file for file in (path / "attribution" / "c").rglob("*") if file.is_file())
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 0xFF
    chunk.write_bytes(bytes(content))
    with pytest.raises(ChecksumError, match="damaged"):
        aggregate([path], [tmp_path / "igc.tsv"], rois)
