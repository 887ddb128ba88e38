from pathlib import Path

import pandas as pd
import pytest

from igc.comparison.summary import read_summary
from igc.errors import ConfigError, DataError, MissingFileError
from igc.steps.summarize import summarize
from igc.store.atomic import write_table
from tests.report.test_verdict import summary


def write(folder: Path, study: str, models: int = 1) -> Path:
    table = summary(models, ["igc", "shap", "mine", "random"]).assign(study=study)
    write_table(folder / study / "comparison" / "summary.tsv", table)
    return folder / study / "comparison"


def test_all_studies_are_in_one_table_of_both_formats_and_in_the_figure(tmp_path: Path) -> None:
    folders = [write(tmp_path, "first"), write(tmp_path, "second", 2) / "summary.tsv"]
    summarize(folders, tmp_path / "results")
    whole = read_summary(tmp_path / "results" / "summary.tsv")
    parts = [read_summary(tmp_path / name / "comparison" / "summary.tsv") for name in ("first", "second")]
    pd.testing.assert_frame_equal(whole, pd.concat(parts, ignore_index=True))
    parquet = pd.read_parquet(tmp_path / "results" / "summary.parquet")
    assert parquet["study"].value_counts().to_dict() == whole["study"].value_counts().to_dict()
    assert parquet["value"].tolist() == whole["value"].tolist()
    assert parquet["seed"].dtype.kind == "i"
    assert (tmp_path / "results" / "verdict.png").stat().st_size > 10_000


def test_bad_summaries_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    output, folder = tmp_path / "results", write(tmp_path, "first")
    with pytest.raises(ConfigError, match="at least one"):
        summarize([], output)
    with pytest.raises(ConfigError, match="study first twice"):
        summarize([folder, folder / "summary.tsv"], output)
    with pytest.raises(MissingFileError, match="igc compare"):
        summarize([tmp_path / "none.tsv"], output)
    (tmp_path / "other.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(DataError, match="those of a summary"):
        summarize([tmp_path / "other.tsv"], output)
    assert not output.exists()
