from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from igc.report.scores import MAX_ROWS, score_figure
from tests.report.inspecting import clipped, overlapping, panels, words


def table(values: dict[str, list[float]], accuracy: list[float] | None = None) -> pd.DataFrame:
    rows = []
    for target, folds in values.items():
        rows += [(str(k), target, "correlation", value, 10) for k, value in enumerate(folds)]
        rows += [
            ("mean", target, "correlation", float(np.mean(folds)), 10),
            ("pooled", target, "correlation", 0.77, 10),
        ]
    for k, value in enumerate(accuracy or []):
        rows.append((str(k), "all", "accuracy", value, 10))
    if accuracy:
        rows.append(("mean", "all", "accuracy", float(np.mean(accuracy)), 10))
    return pd.DataFrame(rows, columns=["fold", "target", "metric", "value", "n"])


def marks(axes):
    """Return large marks (x, row) and the small dots' x by their row."""
    large, small = [], {}
    for one in axes.collections:
        points = np.asarray(one.get_offsets())
        if one.get_sizes()[0] > 20:
            large.append(tuple(points[0]))
        else:
            small[round(float(points[0, 1]), 6)] = points[:, 0]
    return large, small


def test_marks_are_means_and_dots_are_folds():
    figure = score_figure({"mlp-seed0": table({"face": [0.4, 0.6], "house": [0.1, -0.1]})}, "Study")
    (axes,) = panels(figure, "correlation")
    large, small = marks(axes)
    np.testing.assert_allclose(sorted(large, key=lambda mark: mark[1]), [(0.5, 0), (0.0, 1), (0.25, 2)], atol=1e-12)
    np.testing.assert_allclose(small[0.0], [0.4, 0.6])
    np.testing.assert_allclose(small[2.0], [0.25, 0.25])
    assert axes.get_xlim()[0] < -0.1
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["face", "house", "mean over targets"]
    said = words(figure)
    assert "0.500" in said
    assert "0.770" not in said


def test_models_have_rows_and_numbers_of_their_own():
    scores = {"mlp-seed0": table({"y": [0.6]}), "ridge-seed0": table({"y": [0.3]})}
    figure = score_figure(scores, "Study")
    large, _ = marks(panels(figure, "correlation")[0])
    assert len({round(y, 3) for _, y in large}) == 2
    assert all(name in words(figure) for name in ("mlp", "ridge", "0.600", "0.300"))


def test_accuracy_stands_against_chance():
    figure = score_figure({"mlp-seed0": table({"a": [0.4], "b": [0.5]}, [0.7, 0.8])}, "Study", categories=8)
    (axes,) = panels(figure, "accuracy")
    assert any(np.allclose(line.get_xdata(), 0.125) for line in axes.lines)
    assert "chance 0.125" in words(figure)
    np.testing.assert_allclose(marks(axes)[0][0][0], 0.75)


def test_without_accuracy_there_is_one_panel():
    assert not panels(score_figure({"m-seed0": table({"y": [0.6]})}, "Study"), "accuracy")


def test_of_many_targets_the_best_are_shown_and_the_mean_is_over_all():
    values = {f"voxel {k}": [k / 100, k / 100 + 0.01] for k in range(60)}
    figure = score_figure({"m-seed0": table(values)}, "Study")
    (axes,) = panels(figure, "correlation")
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names == [f"voxel {k}" for k in range(60 - MAX_ROWS, 60)] + ["mean over targets"]
    mean = max(marks(axes)[0], key=lambda mark: mark[1])[0]
    assert mean == pytest.approx(np.mean(list(values.values())))
    assert f"The {MAX_ROWS} best predicted of 60 targets" in words(figure)


def test_a_target_that_no_model_predicts_is_marked_missing():
    figure = score_figure({"m-seed0": table({"a": [np.nan, np.nan], "b": [0.5, 0.4]})}, "Study")
    assert "n/a" in words(figure)


def test_long_names_neither_overlap_nor_leave_the_figure():
    values = {f"a very long name of target number {k}, longer than there is room": [0.5, 0.6] for k in range(8)}
    models = [f"a_model_with_a_rather_long_name_{k}-seed{s}" for k in range(2) for s in range(2)]
    figure = score_figure({model: table(values, [0.6]) for model in models}, "Study " * 40, 8)
    assert not clipped(figure)
    assert not overlapping(figure)


def test_a_study_without_models_says_so():
    assert "No model has scores" in words(score_figure({}, "Study"))


def test_a_bar_stands_where_noise_leaves_no_more_to_predict():
    noisy = table({"V1 (3)": [0.4], "V2 (2)": [0.6]})
    ceiling = noisy[(noisy["metric"] == "correlation") & (noisy["fold"] == "mean")].assign(metric="noise_ceiling")
    ceiling = ceiling.assign(value=[64.0, 81.0])
    figure = score_figure({"m-seed0": pd.concat([noisy, ceiling])}, "Study")
    (axes,) = panels(figure, "correlation")
    bars = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2 and line.get_linewidth() > 1.2]
    np.testing.assert_allclose([bar[0] for bar in bars], [0.8, 0.9])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["V1 (3)", "V2 (2)"]
    assert "noise ceiling" in words(figure)
