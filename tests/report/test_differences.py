from pathlib import Path

import numpy as np
import pandas as pd

from igc.comparison.linear import COLUMNS
from igc.report.differences import MAX_PANELS, MAX_REGIONS, difference_figure, said_of
from igc.report.style import save_figure


def table(
    differences: dict[tuple[str, str], tuple[float, float]], method: str = "igc", name: str = "s"
) -> pd.DataFrame:
    """Differences and their q by (target, region)."""
    regions = list(dict.fromkeys(roi for _, roi in differences))
    rows = [
        {"target": target, "roi": roi, "index": regions.index(roi) + 1, "difference": value, "q": q}
        for (target, roi), (value, q) in differences.items()
    ]
    known = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    known = known.assign(set=name, network_score=0.8, linear_score=0.5, model="mlp-seed0", method=method)
    known = known.assign(ci_low=known["difference"] - 0.05, ci_high=known["difference"] + 0.05)
    return known.assign(linear_model="ridge-seed0", linear_method="linear_igc")


def test_the_words_name_the_largest_differences_on_either_side_and_count_the_others() -> None:
    found = said_of(
        table({("t", "a"): (0.3, 0.01), ("t", "b"): (0.5, 0.001), ("t", "c"): (-0.2, 0.02), ("t", "d"): (0.9, 0.4)})
    )
    assert found == (
        "The network gets more from b (0.5, 0.45 to 0.55); a (0.3, 0.25 to 0.35). "
        "The linear model gets more from c (\N{MINUS SIGN}0.2, \N{MINUS SIGN}0.25 to \N{MINUS SIGN}0.15). "
        "The other 1 of 4 are not told apart."
    )


def test_targets_are_named_where_there_are_several_and_long_lists_are_counted() -> None:
    found = said_of(table({(t, r): (0.1 * (i + 1), 0.001) for i, t in enumerate("xy") for r in "abc"}))
    assert found.startswith("The network gets more from a for y (0.2, 0.15 to 0.25); b for y")
    assert "and 3 more" in found


def test_without_a_difference_beyond_chance_the_words_say_so() -> None:
    assert said_of(table({("t", "a"): (0.3, 0.4), ("t", "b"): (0.1, np.nan)})) == (
        "In none of 1 comparisons is the network told from the linear model (q < 0.05)."
    )
    assert said_of(table({("t", "a"): (0.3, np.nan)})) == "Errors of the differences are not known."


def points(figure, target: str) -> list[float]:
    axes = next(axes for axes in figure.axes if axes.get_label() == target)
    return [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "o"]


def test_dots_are_the_differences_of_igc_in_the_set_of_most_regions(tmp_path: Path) -> None:
    fine = table({(t, r): (0.1 * i + (t == "y"), 0.2) for t in "xy" for i, r in enumerate("abc")}, name="fine")
    coarse = table({("x", "all"): (9.0, 0.2)}, name="coarse")
    other = table({("x", r): (5.0, 0.2) for r in "abcde"}, method="other")
    figure = difference_figure(pd.concat([other, coarse, fine]), "study")
    np.testing.assert_allclose(points(figure, "x"), [0.0, 0.1, 0.2])
    np.testing.assert_allclose(points(figure, "y"), [1.0, 1.1, 1.2])
    save_figure(figure, tmp_path / "deep_linear.png")


def test_of_many_targets_and_regions_only_some_are_drawn() -> None:
    many = table({(f"t{k}", f"r{i}"): (0.01 * i, 0.5) for k in range(20) for i in range(15)})
    many["network_score"] = many["target"].str[1:].astype(float)
    figure = difference_figure(many, "study")
    assert [axes.get_label() for axes in figure.axes] == [f"t{k}" for k in range(20 - MAX_PANELS, 20)]
    assert len(points(figure, "t19")) == MAX_REGIONS


def test_without_a_linear_model_a_note_stands_in_its_place() -> None:
    figure = difference_figure(pd.DataFrame(), "study")
    assert any("No linear model" in text.get_text() for text in figure.texts)
