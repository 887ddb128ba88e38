from __future__ import annotations

import numpy as np
import pandas as pd

from igc.report.curves import MAX_CURVES, curve_figure
from tests.report.inspecting import clipped, overlapping, words


def history(folds: int = 2, top: float = 1.0) -> pd.DataFrame:
    frames = []
    for fold in range(folds):
        loss = top * np.array([1.0, 0.5, 0.3 + fold / 100, 0.4])
        frames.append(
            pd.DataFrame({"fold": fold, "epoch": [1, 2, 3, 4], "train_loss": loss / 2, "validation_loss": loss})
        )
    return pd.concat(frames).sample(frac=1, random_state=0)


def test_each_fold_has_two_lines_in_the_order_of_epochs_and_a_dot_at_its_best():
    figure = curve_figure({"cnn-seed0": history()}, "Study")
    (axes,) = figure.axes
    assert len(axes.lines) == 6
    for fold in range(2):
        train, validation, best = axes.lines[3 * fold : 3 * fold + 3]
        np.testing.assert_array_equal(train.get_xdata(), [1, 2, 3, 4])
        np.testing.assert_allclose(validation.get_ydata(), [1.0, 0.5, 0.3 + fold / 100, 0.4])
        assert (best.get_xdata()[0], best.get_ydata()[0]) == (3, 0.3 + fold / 100)
    assert axes.get_yscale() == "linear"


def test_losses_over_more_than_a_decade_are_drawn_on_a_logarithmic_axis():
    wide = history()
    wide.loc[wide["epoch"] == 1, "validation_loss"] = 50.0
    figure = curve_figure({"cnn-seed0": wide}, "Study")
    assert figure.axes[0].get_yscale() == "log"
    assert "$" not in words(figure)


def test_seeds_have_panels_of_their_own_and_names_stay_apart():
    names = [f"a_network_with_a_name_that_is_too_long_for_its_panel-seed{k}" for k in range(4)]
    figure = curve_figure(dict.fromkeys(names, history()), "Study")
    assert len(figure.axes) == 4
    assert not clipped(figure)
    assert not overlapping(figure)


def test_many_networks_are_capped_and_the_figure_says_so():
    figure = curve_figure({f"net_{k}-seed0": history(1) for k in range(20)}, "Study")
    assert len(figure.axes) == MAX_CURVES
    assert f"The first {MAX_CURVES} of 20 networks" in words(figure)
    assert not clipped(figure)


def test_an_unknown_validation_loss_leaves_no_dot():
    unknown = history(1).assign(validation_loss=np.nan)
    assert len(curve_figure({"cnn-seed0": unknown}, "Study").axes[0].lines) == 2


def test_a_study_without_a_network_says_so():
    assert "No network was trained" in words(curve_figure({}, "Study"))
