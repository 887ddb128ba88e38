"""The figure of a group: bars are means over subjects, every subject is there, nothing is cut off."""

import numpy as np
import pytest

from igc.report.groups import group_figure
from igc.roi.groups import group_table, join_subjects
from tests.report.inspecting import clipped, overlapping
from tests.roi.test_groups import roi_table


@pytest.mark.parametrize("n", [2, 8])
def test_bars_are_means_and_marks_are_subjects(n: int) -> None:
    subjects = join_subjects({f"subject_{k}": [roi_table(k)] for k in range(n)})
    table = group_table(subjects)
    figure = group_figure(table, subjects, "A group", {"areas": {"V1": "#ff0000"}})
    axes = next(one for one in figure.axes if one.get_label() == "areas one")
    rows = table[table["target"] == "one"]
    heights = [bar.get_height() for bar in axes.patches]
    np.testing.assert_allclose(heights, [*rows["attribution"], rows["attribution"].sum()])
    assert axes.patches[0].get_facecolor()[:3] == (1, 0, 0)
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["V1", "V2", "hV4", "rest", "sum"]
    said = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert ("too few for a test" in said) == (n == 2)
    own = subjects[(subjects["subject"] == "subject_1") & (subjects["target"] == "one")]["attribution"].to_numpy()
    heights = [np.ma.getdata(one.get_offsets())[:, 1] for one in axes.collections if len(one.get_offsets()) == 5]
    assert any(np.allclose(marks[:4], own) and np.isclose(marks[4], own.sum()) for marks in heights)
    assert not clipped(figure)
    assert not overlapping(figure)


def test_a_region_of_some_subjects_says_of_how_many() -> None:
    tables = {"a": [roi_table(0)], "b": [roi_table(1, ["V1", "V2", "rest"])]}
    subjects = join_subjects(tables, True)
    figure = group_figure(group_table(subjects), subjects)
    axes = next(one for one in figure.axes if one.get_label() == "areas one")
    assert "hV4 (n=1)" in [label.get_text() for label in axes.get_xticklabels()]


def test_stars_mark_regions_that_the_family_wise_test_finds() -> None:
    tables = {
        f"s{k}": [roi_table(k).assign(attribution=lambda t: np.where(t["roi"] == "V1", 0.3, 0.0))] for k in range(8)
    }
    for k, (own,) in enumerate(tables.values()):
        own["attribution"] += 0.01 * np.random.default_rng(k).standard_normal(len(own))
    subjects = join_subjects(tables)
    figure = group_figure(group_table(subjects), subjects)
    axes = next(one for one in figure.axes if one.get_label() == "areas one")
    stars = [text.get_position()[0] for text in axes.texts if text.get_text() == "*"]
    assert stars == [0]
