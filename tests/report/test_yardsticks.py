import numpy as np
import pandas as pd
import pytest

from igc.comparison.criteria import COLUMNS, CURVE_COLUMNS, RANDOM, ROI_YARDSTICKS, YARDSTICKS
from igc.report.yardsticks import curves_figure, yardstick_figure

METHODS = ("gradient_x_input", "igc", RANDOM)


def table_of(models: tuple[str, ...] = ("net-seed0",), methods: tuple[str, ...] = METHODS) -> pd.DataFrame:
    rows = []
    for m, model in enumerate(models):
        for k, method in enumerate(methods):
            for j, (name, stick) in enumerate(YARDSTICKS.items()):
                for reference in ("zero", "mean"):
                    values = (stick.categories, 0.1 * k + j + m, 0.02, 64, np.nan, np.nan)
                    rows.append((method, "sample", name, reference, *values, model, 1))
    return pd.DataFrame(rows, columns=[*COLUMNS, "model", "seeds"])


def curves_of(models: tuple[str, ...] = ("net-seed0",)) -> pd.DataFrame:
    rows = [
        (method, "sample", curve, reference, x, (k + 1) * x, 0.1, 64, model)
        for model in models
        for k, method in enumerate(METHODS)
        for curve in ("deletion", "insertion", "score_deletion", "sensitivity_n")
        for reference in (("mean", "infill") if curve in ("deletion", "insertion") else ("mean",))
        for x in (0.001, 0.1, 1.0)
    ]
    return pd.DataFrame(rows, columns=[*CURVE_COLUMNS, "model"])


def test_every_yardstick_has_a_panel_with_every_method_at_its_value() -> None:
    figure = yardstick_figure(table_of(), "study")
    panels = {axes.get_label(): axes for axes in figure.axes}
    in_ranks = {*ROI_YARDSTICKS, "baseline_seed"}  # many sets and references: they are in the figure of ranks
    assert list(panels) == [name for name in YARDSTICKS if name not in in_ranks]
    first = figure.axes[0]
    assert [text.get_text() for text in first.get_yticklabels()] == [
        "IGC",
        "gradient \N{MULTIPLICATION SIGN} input",
        "random",
    ]
    shown = {round(float(line.get_xdata()[0]), 6) for line in first.get_lines() if len(line.get_xdata()) == 1}
    assert shown == {0.0, 0.1, 0.2}


@pytest.mark.parametrize("name", ["deletion", "insertion"])
def test_an_arrow_says_which_way_is_better(name: str) -> None:
    axes = next(a for a in yardstick_figure(table_of(), "study").axes if a.get_label() == name)
    (arrow,) = [text.get_text() for text in axes.texts]
    assert arrow == ("better →" if YARDSTICKS[name].categories == "higher" else "← better")


def test_only_the_first_seed_and_a_few_models_are_shown_and_the_figure_says_so() -> None:
    models = ("a-seed0", "a-seed1", "b-seed0", "c-seed0", "d-seed0", "e-seed0")
    figure = yardstick_figure(pd.concat([table_of(models), table_of(("a",))]), "study")
    rows = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(rows) == 12
    assert rows[0] == "IGC · a"
    said = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert "first seed" in said
    assert "The first 4 of 5 models are shown." in said


def test_curves_have_a_row_of_panels_a_model_and_a_line_a_method() -> None:
    figure = curves_figure(curves_of(("net-seed0", "ridge-seed0")), "study")
    assert len(figure.axes) == 12
    titles = [axes.get_title(loc="left") for axes in figure.axes[:6]]
    assert [title.partition(" \N{MIDDLE DOT} ")[0] for title in titles[:2]] == ["deletion", "deletion, in-fill"]
    assert all(len(axes.get_lines()) == 3 for axes in figure.axes)
    line = figure.axes[0].get_lines()[0]
    np.testing.assert_allclose(line.get_ydata(), 2 * np.asarray(line.get_xdata()))
    figure.canvas.draw()
    labels = [text.get_text() for axes in figure.axes for text in axes.get_xticklabels()]
    assert not any("$" in text for text in labels)


def test_curves_of_values_name_their_unit() -> None:
    said = [" ".join(t.get_text() for t in curves_figure(curves_of(), "s", kind).texts) for kind in (True, False)]
    assert "probability" in said[0]
    assert "squared change" in said[1].replace("\n", " ")


def test_without_judged_maps_the_figures_say_so() -> None:
    for figure in (yardstick_figure(pd.DataFrame(), "s"), curves_figure(pd.DataFrame(), "s")):
        assert any("No map" in text.get_text() for text in figure.texts)
