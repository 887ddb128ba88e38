"""Receptive fields that were planted into made files come with the samples."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from igc.config_nsd import NsdData
from igc.data.nsd.layout import Layout
from igc.data.nsd.source import open_nsd
from igc.data.nsd.truth import planted_fields
from igc.errors import DataError


@pytest.mark.parametrize("space", ["func1pt8mm", "fsaverage"])
def test_targets_have_the_fields_that_were_planted_in_their_own_component(small: Path, space: str) -> None:
    data = NsdData(kind="nsd", folder=str(small), space=space, predict="responses", test="none")
    with open_nsd(data, 0) as source:
        index = source.variables[f"target_{'vertex' if space == 'fsaverage' else 'voxel'}_index"].values
        fields = source.variables["target_field"].values
        assert source.attributes["field_of_view"] == 8.4
    table = pd.read_csv(small / "planted" / f"subj01_{space}.tsv", sep="\t", keep_default_na=False)
    axes = ["x", "y", "z"] if space == "func1pt8mm" else ["hemisphere", "vertex"]
    rows = {tuple(row[axes]): row for _, row in table.iterrows()}
    seen = 0
    for field, place in zip(fields, index, strict=True):
        row = rows.get(tuple(place))
        if row is None or row["code"] == "slope":
            assert np.isnan(field).all()
        else:
            np.testing.assert_array_equal(field, [row["field_x"], row["field_y"], row["field_sd"]])
            seen += 1
    assert seen > 20


def test_the_real_dataset_has_no_planted_fields(tmp_path: Path) -> None:
    assert planted_fields(Layout(tmp_path, 1), np.zeros((2, 3), dtype=np.int64)) == {}


def test_another_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "subj01_func1pt8mm.tsv").write_text("x\ty\tz\n1\t2\t3\n", encoding="utf-8")
    with pytest.raises(DataError, match="no column 'code'"):
        planted_fields(Layout(tmp_path, 1), np.zeros((2, 3), dtype=np.int64))
