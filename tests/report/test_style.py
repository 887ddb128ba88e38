from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from igc.errors import StoreError
from igc.report.style import colour_limit, fit_text, new_figure, number, save_figure, styled, text_width, unavailable
from tests.report.inspecting import clipped, words


def test_colour_limit_is_the_quantile_of_magnitudes_over_all_maps_together():
    a, b = np.linspace(-1, 0.5, 500), np.linspace(0, 3, 700).reshape(70, 10)
    expected = np.sort(np.abs(np.concatenate([a, b.ravel()])))
    assert colour_limit([a, b], 0.9) == pytest.approx(np.percentile(expected, 90))
    assert colour_limit([-a, -b], 0.9) == colour_limit([a, b], 0.9)


def test_colour_limit_is_positive_for_empty_zero_unknown_and_nearly_empty_maps():
    lonely = np.zeros(10_000)
    lonely[0] = -0.25
    assert colour_limit([]) == colour_limit([np.zeros(5)]) == colour_limit([[np.nan, np.inf]]) == 1.0
    assert colour_limit([lonely]) == 0.25


@given(st.text(st.characters(codec="latin-1"), max_size=80), st.floats(0.4, 4), st.integers(1, 3))
def test_fitted_text_is_never_wider_nor_longer_than_its_room(text, width, lines):
    rows = fit_text(text, width, 8, lines).split("\n")
    assert len(rows) <= lines
    assert all(text_width(row, 8) <= width for row in rows)


def test_text_that_fits_is_left_as_it_is_and_long_text_keeps_both_ends():
    assert fit_text("left cheek", 5, 8) == "left cheek"
    short = fit_text("7Networks LH SomMot area 41", 1.0, 8)
    assert short.startswith("7Net")
    assert short.endswith("41")
    assert "…" in short


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0183, "0.018"),
        (-0.5, "\N{MINUS SIGN}0.5"),
        (7.14e-4, "7.1\N{MULTIPLICATION SIGN}10⁻⁴"),
        (3e5, "3.0\N{MULTIPLICATION SIGN}10⁵"),
    ],
)
def test_numbers_have_two_digits(value, text):
    assert number(value) == text


def test_a_saved_figure_has_150_dots_an_inch_and_the_same_bytes_each_time(tmp_path):
    for name in ("a.png", "b.png"):
        save_figure(unavailable("Study", "nothing here"), tmp_path / name)
    data = (tmp_path / "a.png").read_bytes()
    assert data == (tmp_path / "b.png").read_bytes()
    assert int.from_bytes(data[16:20], "big") == round(6.6 * 150)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_nothing_is_left_where_a_figure_cannot_be_written(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir()
    figure = unavailable("Study", "nothing here")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    figure.savefig = full
    with pytest.raises(StoreError, match="free some disk space"):
        save_figure(figure, folder / "a.png")
    assert not list(folder.iterdir())


def test_the_style_does_not_depend_on_the_settings_of_the_user():
    import matplotlib as mpl

    @styled
    def draw():
        figure = new_figure(2, 2)
        figure.add_axes((0.2, 0.2, 0.7, 0.7))
        return figure

    with mpl.rc_context({"axes.spines.top": True, "axes.facecolor": "pink", "font.size": 30}):
        axes = draw().axes[0]
        assert mpl.rcParams["font.size"] == 30
    assert not axes.spines["top"].get_visible()
    assert axes.get_facecolor() == (1, 1, 1, 1)
    assert axes.xaxis.label.get_size() == 8.5


def test_a_figure_without_content_says_why():
    figure = unavailable("Study · learning curves", "No network was trained in this study.")
    assert "No network was trained" in words(figure)
    assert not clipped(figure)
