from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from igc.comparison.partition import COLUMNS, READINGS
from igc.report.partition import MAX_REGIONS, partition_figure
from igc.report.style import save_figure


def table(regions: int = 4, targets: int = 2, method: str = "igc", model: str = "mlp-seed0") -> pd.DataFrame:
    names = [*(f"region {i}" for i in range(1, regions)), "rest"]
    rows = [
        {"index": (i + 1) % regions, "roi": name, "target": f"t{t}", "network": 0.1 * (i + 1), "linear": 0.05 * i}
        for t in range(targets)
        for i, name in enumerate(names)
    ]
    labels = {
        "model": model,
        "method": method,
        "linear_model": "banded-seed0",
        "linear_method": "linear_igc",
        "set": "s",
    }
    known = pd.DataFrame(rows).reindex(columns=list(COLUMNS)).assign(**labels)
    return known.assign(r2=0.5, alone=0.2, unique=0.1, network_se=0.02, linear_se=0.01, q=0.5)


def bars(figure, label: str) -> np.ndarray:
    axes = next(axes for axes in figure.axes if axes.get_label() == label)
    return np.array([patch.get_width() for patch in axes.patches])


def test_bars_are_the_values_of_the_table() -> None:
    figure = partition_figure(table(), "study")
    np.testing.assert_allclose(bars(figure, "t1 0"), [0.1, 0.2, 0.3, 0.4, 0, 0.05, 0.1, 0.15])
    np.testing.assert_allclose(bars(figure, "t0 1"), [0.2] * 4 + [0.1] * 4)


def test_igc_is_shown_where_there_are_other_methods() -> None:
    other = table(method="other").assign(network=9.0)
    figure = partition_figure(pd.concat([other, table()]), "study")
    assert bars(figure, "t0 0").max() == pytest.approx(0.4)


def test_of_many_regions_the_largest_are_shown_in_order() -> None:
    figure = partition_figure(table(regions=20, targets=1), "study")
    axes = figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert len(names) == MAX_REGIONS
    assert names[0] == "region 9"
    assert names[-1] == "rest"


def test_a_star_marks_regions_that_differ() -> None:
    known = table(targets=1)
    known.loc[1, "q"] = 0.01
    stars = [text for text in partition_figure(known).axes[0].texts if text.get_text() == "*"]
    assert [star.get_position()[1] for star in stars] == [1]


def test_without_a_table_a_note_says_why(tmp_path: Path) -> None:
    figure = partition_figure(pd.DataFrame(), "study")
    assert "banded" in " ".join(text.get_text() for text in figure.texts)
    save_figure(figure, tmp_path / "note.png")
    assert (tmp_path / "note.png").stat().st_size > 1000


def test_targets_share_a_scale() -> None:
    known = table()
    known.loc[known["target"] == "t1", ["alone", "unique"]] *= 1e-3
    axes = {one.get_label(): one for one in partition_figure(known).axes}
    assert axes["t0 1"].get_xlim() == axes["t1 1"].get_xlim()
    assert axes["t0 1"].get_xlim()[1] >= 0.2


def test_the_figure_says_in_words_what_a_reader_may_conclude() -> None:
    known = table(regions=4, targets=1)
    known["reading"] = ["redundant", "suppressor", "nonlinear", "nothing"]
    said = " ".join(text.get_text().replace("\n", " ") for text in partition_figure(known).texts)
    for name in known["reading"]:
        assert READINGS[name] in said
