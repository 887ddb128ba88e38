import numpy as np
import pytest

from igc.data.tables import column, numbers, read_regions, read_table
from igc.errors import DataError, MissingFileError


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "onset\ttrial type\n0.5\tred face\n2\t n/a\n"),
        ("a.csv", "onset,trial type\n0.5,red face\n2,n/a\n"),
        ("a.tsv", "\ufeffonset\ttrial type\r\n0.5\tred face\r\n2\tn/a\r\n"),
    ],
)
def test_tabs_and_commas_are_recognised(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    table = read_table(tmp_path / name)
    assert list(table.columns) == ["onset", "trial type"]
    assert table["trial type"].tolist() == ["red face", "n/a"]


def test_spaces_separate_too_and_numbers_alone_have_no_header(tmp_path):
    (tmp_path / "labels.txt").write_text("labels chunks\nrest 0\nface 11\n")
    assert read_table(tmp_path / "labels.txt")["chunks"].tolist() == ["0", "11"]
    (tmp_path / "motion.par").write_text("0.5  -1e-3  \n0  2  \n")
    table = read_table(tmp_path / "motion.par")
    np.testing.assert_array_equal(numbers(table, "motion", ["0", "1"], ""), [[0.5, -1e-3], [0, 2]])


def test_text_stays_text(tmp_path):
    (tmp_path / "a.tsv").write_text("run\tx\n01\t1\n02\t2\n")
    assert read_table(tmp_path / "a.tsv")["run"].tolist() == ["01", "02"]


def test_unknown_column_lists_those_that_exist(tmp_path):
    (tmp_path / "a.tsv").write_text("run\tx\n01\t1\n")
    with pytest.raises(DataError, match=r"no column 'y'.*run, x"):
        column(read_table(tmp_path / "a.tsv"), "a.tsv", "y")


@pytest.mark.parametrize("entry", ["n/a", "", "seven", "inf"])
def test_entry_that_is_not_a_number_is_located(tmp_path, entry):
    (tmp_path / "a.tsv").write_text(f"x\ty\n1\ta\n{entry}\tb\n")
    with pytest.raises(DataError, match=r"column 'x', row 2 \(1 such rows\)"):
        numbers(read_table(tmp_path / "a.tsv"), "a.tsv", ["x"], "correct it")


def test_missing_empty_and_ragged_files_are_refused(tmp_path):
    with pytest.raises(MissingFileError, match=r"gone\.tsv"):
        read_table(tmp_path / "gone.tsv")
    (tmp_path / "empty.tsv").write_text("")
    (tmp_path / "ragged.tsv").write_text("a\tb\n1\t2\n1\t2\t3\t4\n")
    (tmp_path / "binary.tsv").write_bytes(b"\xff\xfe\x00\x81")
    for name in ("empty.tsv", "ragged.tsv", "binary.tsv"):
        with pytest.raises(DataError, match=name):
            read_table(tmp_path / name)


def test_regions_need_one_name_each(tmp_path):
    file = tmp_path / "lut.tsv"
    file.write_text("index\tname\tcolor\n0\tbackground\tn/a\n7\tV1\t#ff0000\n300\tV2\tn/a\n")
    assert read_regions(file) == {7: {"name": "V1", "color": "#ff0000"}, 300: {"name": "V2", "color": None}}
    for rows in ("7\tV1\n7\tV2\n", "7\tV1\n8\tV1\n", "7\tn/a\n", "7.5\tV1\n"):
        file.write_text("index\tname\n" + rows)
        with pytest.raises(DataError, match="lut"):
            read_regions(file)
