import numpy as np
import pandas as pd
import pytest

from igc.comparison.ranking import RANKED, rank_methods
from igc.comparison.summary import SUMMARY_COLUMNS
from igc.report.style import save_figure
from igc.report.verdict import verdict_figure

METHODS = [f"method_{k}" for k in range(24)] + ["random"]


def summary(models: int, methods: list[str] = METHODS, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    rows = [
        ("study", f"m{k}", 0, method, None, None, None, metric, "zero", i + random.normal(), 0.3, 64, "lower")
        for k in range(models)
        for metrics in RANKED.values()
        for metric in metrics
        for i, method in enumerate(methods)
    ]
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def texts(figure) -> list[str]:
    axes = [text.get_text() for one in figure.axes for text in one.texts]
    return axes + [text.get_text() for text in figure.texts]


def test_every_cell_shows_its_rank_and_every_method_its_average():
    table = summary(1)
    figure, verdict = verdict_figure(table, "toy"), rank_methods(table)
    cells, averages = figure.axes
    shown = [text.get_text() for text in cells.texts if text.get_text().isdigit()]
    assert shown == [f"{100 * rank:.0f}" for rank in verdict.cells.to_numpy().reshape(-1)]
    assert [label.get_text() for label in cells.get_yticklabels()][-1] == "random (the floor)"
    places = [line.get_xdata()[0] for line in averages.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(places, 100 * verdict.average)


def test_few_models_are_said_to_be_too_few_and_many_are_tested():
    few = texts(verdict_figure(summary(2)))
    assert any("too few with the same methods for a test" in text.replace("\n", " ") for text in few)
    many = texts(verdict_figure(summary(8, METHODS[:6])))
    assert any("Nemenyi" in text.replace("\n", " ") for text in many)
    assert {"worse", "best group"} <= set(many)


def test_what_was_not_judged_is_a_dot():
    table = summary(1, METHODS[:4])
    table = table[~((table["method"] == "method_2") & (table["metric"] == "deletion"))]
    cells = verdict_figure(table).axes[0]
    dots = [line for line in cells.lines if line.get_marker() == "."]
    verdict = rank_methods(table)
    (dot,) = dots
    assert dot.get_xdata()[0] == list(verdict.cells.columns).index("deletion")
    assert dot.get_ydata()[0] == list(verdict.cells.index).index("method_2")


def test_darker_is_better_in_grey_too():
    table = summary(1, METHODS[:5])
    cells = rank_methods(table).cells
    patches = verdict_figure(table).axes[0].patches
    grey = [np.dot(patch.get_facecolor()[:3], [0.299, 0.587, 0.114]) for patch in patches]
    order = np.argsort(cells.to_numpy().reshape(-1), kind="stable")
    assert (np.diff(np.array(grey)[order]) >= -1e-9).all()


@pytest.mark.parametrize(("models", "count"), [(1, 3), (1, 25), (6, 25)])
def test_nothing_is_cut_off(tmp_path, models, count):
    figure = verdict_figure(summary(models, METHODS[:count]), "A study with a title")
    save_figure(figure, tmp_path / "verdict.png")
    renderer = figure.canvas.get_renderer()
    for text in [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]:
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y0 >= 0
        assert box.y1 <= figure.bbox.y1


def test_a_study_without_yardsticks_says_so():
    figure = verdict_figure(pd.DataFrame(columns=list(SUMMARY_COLUMNS)), "toy")
    assert any("Fewer than three methods" in text for text in texts(figure))
