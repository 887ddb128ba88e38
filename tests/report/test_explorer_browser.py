"""The page in a real browser: all is clicked, no error may appear, and what is drawn is held against the maps."""

from __future__ import annotations

import json
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_hex

from igc.comparison.criteria import RANDOM
from igc.report.explorer import describe_study, explorer_page
from igc.report.style import DIVERGING, QUANTILE
from tests.report.browser import NAMES as BROWSERS
from tests.report.browser import browsing, find_browser
from tests.report.conftest import NAMES, results_of

PROGRAM = find_browser()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(PROGRAM is None, reason=f"no browser found; install one of {', '.join(BROWSERS)}"),
]
METHODS = ("igc", "integrated_gradients", "gradient_x_input")


def tables():
    curves, marks = [], []
    for method in (*METHODS, RANDOM):
        curves += [["cnn-seed0", method, "deletion", "mean", x, 1 - x**2, 0.02] for x in np.linspace(0, 1, 5)]
        for name, better in (("deletion", "lower"), ("insertion", "higher")):
            marks.append(["cnn-seed0", method, name, "mean", better, len(method) / 30, 0.01])
    return {
        "yardstick_curves": pd.DataFrame(curves, columns=["model", "method", "curve", "reference", "x", "value", "se"]),
        "yardsticks": pd.DataFrame(
            marks, columns=["model", "method", "yardstick", "reference", "better", "value", "se"]
        ),
    }


@pytest.fixture(scope="module")
def digits(rings):
    return results_of((1, 8, 8), NAMES, rings, methods=METHODS)


@pytest.fixture(scope="module")
def address(image_samples, slice_samples, volume_samples, rings, digits, tmp_path_factory):
    """A page of three studies: images with everything, one slice, and a volume."""
    described = [describe_study("digits", image_samples, rings, digits, tables())]
    for name, samples in (("slice", slice_samples), ("volume", volume_samples)):
        shape, names = (samples.sizes["voxel"],), [str(one) for one in samples["target"].values]
        described.append(describe_study(name, samples, {}, results_of(shape, names)))
    path = tmp_path_factory.mktemp("page") / "explorer.html"
    path.write_text(explorer_page(described), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    assert PROGRAM is not None
    with browsing(PROGRAM, tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(tab, address):
    tab.faults.clear()
    tab.requests.clear()
    tab.open(address)
    tab.until("document.querySelectorAll('canvas').length > 0")
    yield tab
    tab.value("1")
    assert tab.faults == []
    assert {one.split("#")[0] for one in tab.requests} <= {address, "about:blank"}


def canvases(page):
    return page.value("document.querySelectorAll('#maps canvas').length")


def test_every_choice_can_be_made_without_an_error(page):
    for study in range(3):
        page.choose("#study", str(study))
        for control in ("model", "target", "scale", "outline", "set", "curve", "plane"):
            for value in page.value(f"[...document.querySelectorAll('#{control} option')].map((one) => one.value)"):
                if page.value(f"document.getElementById('{control}').checkVisibility()"):
                    page.choose(f"#{control}", value)
                    assert canvases(page) > 0
        for button in ("choose-all", "choose-closed"):
            page.click(f"#{button}")
            assert canvases(page) > 0
        page.click("#choose-none")
        assert canvases(page) == 0
        assert "Choose a method" in page.value("document.getElementById('maps').textContent")
        page.click("#methods input")
        assert canvases(page) > 0
        for value in ("-2", "4"):
            page.choose("#contrast", value)


def test_a_click_on_a_method_takes_its_map_away_and_brings_it_back(page):
    before = page.value("[...document.querySelectorAll('#maps h3')].map((one) => one.textContent)")
    assert before == ["IGC", "gradient \N{MULTIPLICATION SIGN} input", "integrated gradients"]
    page.click("#methods input[value=igc]")
    assert page.value("[...document.querySelectorAll('#maps h3')].map((one) => one.textContent)") == before[1:]
    page.click("#methods label")
    assert page.value("[...document.querySelectorAll('#maps h3')].map((one) => one.textContent)") == before


def shares(digits, target):
    maps = {m: digits["cnn-seed0", m]["attribution"].values[target, 0] for m in METHODS}
    return {name: one / np.abs(one).sum() for name, one in maps.items()}


def test_maps_are_drawn_in_the_colours_of_one_symmetric_scale(page, digits):
    page.choose("#target", "3")
    maps = shares(digits, 3)
    limit = np.quantile(np.abs(np.concatenate([one.ravel() for one in maps.values()])), QUANTILE)
    order = ["igc", "gradient_x_input", "integrated_gradients"]
    for place, method in enumerate(order):
        for row, column in ((0, 0), (3, 5), (7, 2)):
            pixel = page.value(
                f"(() => {{ const c = document.querySelectorAll('#maps canvas')[{place}];"
                f" const x = Math.round(({column} + 0.5) / 8 * c.width), y = Math.round(({row} + 0.5) / 8 * c.height);"
                " const copy = document.createElement('canvas'); [copy.width, copy.height] = [c.width, c.height];"
                " const g = copy.getContext('2d', {willReadFrequently: true}); g.drawImage(c, 0, 0);"
                " return [...g.getImageData(x, y, 1, 1).data]; })()"
            )
            expected = np.array(colormaps[DIVERGING](np.clip(maps[method][row, column] / limit, -1, 1) / 2 + 0.5)) * 255
            np.testing.assert_allclose(pixel[:3], expected[:3], rtol=0, atol=4)
    bars = page.value("[...document.querySelectorAll('#maps .bar')].map((one) => one.textContent)")
    assert len(set(bars)) == 1
    assert bars[0].startswith("\N{MINUS SIGN}")


def test_in_the_units_of_methods_only_maps_that_sum_to_r_share_a_scale(page):
    page.choose("#model", "all models")
    page.choose("#scale", "unit")
    bars = page.value("[...document.querySelectorAll('#maps .bar')].map((one) => one.textContent)")
    titles = page.value("[...document.querySelectorAll('#maps h3')].map((one) => one.textContent)")
    by_method = {}
    for title, bar in zip(titles, bars, strict=True):
        by_method.setdefault(title.split(" · ")[0], set()).add(bar)
    assert [len(found) for found in by_method.values()] == [1, 1, 1]
    assert len(set.union(*by_method.values())) == 3


def test_arrow_keys_read_the_same_place_in_all_maps(page, digits):
    page.value("document.querySelector('#maps canvas').focus()")
    for key, code in (("ArrowRight", 39), ("ArrowDown", 40), ("ArrowDown", 40)):
        page.press(key, code)
    said = page.value("document.getElementById('readout').textContent")
    assert said.startswith("Row 7, column 6.")
    maps = shares(digits, 0)
    for place, method in enumerate(("igc", "gradient_x_input", "integrated_gradients")):
        text = page.value(f"document.querySelectorAll('#maps .value')[{place}].textContent")
        found = float(text.removeprefix("here: ").replace("\N{MINUS SIGN}", "-"))
        assert found == pytest.approx(maps[method][6, 5], rel=0.06, abs=1e-6)
    page.press("Escape", 27)
    assert page.value("document.querySelector('#maps .value').textContent") == ""


def test_region_sums_stand_in_the_table_below_their_chart(page, digits):
    page.click("#choose-closed")
    page.choose("#scale", "unit")
    rows = page.value(
        "[...document.querySelectorAll('#profile-table tbody tr')]"
        ".map((one) => [...one.children].map((cell) => cell.firstChild.textContent))"
    )
    expected = digits["cnn-seed0", "igc"]["roi_attribution"].values[0]
    assert [row[0] for row in rows] == ["inner", "outer", "rest"]
    found = [float(row[1].replace("\N{MINUS SIGN}", "-")) for row in rows]
    np.testing.assert_allclose(found, expected, rtol=0.06, atol=1e-4)
    assert page.value("document.querySelectorAll('#profile > svg polygon, #profile > svg circle').length") == 3


def test_a_heading_sorts_its_column_and_the_best_is_bold(page):
    page.click("[data-sort='insertion|mean']")
    names = page.value("[...document.querySelectorAll('#yardsticks tbody th')].map((one) => one.textContent)")
    assert names[0] == "integrated gradients"
    assert page.value("document.querySelectorAll('#yardsticks td.best').length") == 2
    sorted_by = page.value("document.querySelector('#yardsticks [aria-sort]').getAttribute('aria-sort')")
    assert sorted_by == "descending"


def test_the_address_keeps_the_view(page, tab, address):
    page.choose("#study", "1")
    page.choose("#target", "1")
    page.click("#methods input[value=integrated_gradients]")
    kept = page.value("location.hash")
    assert kept
    assert quote("house") in kept
    tab.open(address + kept)
    tab.until("document.querySelectorAll('#maps canvas').length > 0")
    assert page.value("[study().name, study().targets[state.target], [...state.methods].join()]") == [
        "slice",
        "house",
        "igc",
    ]


def test_tab_alone_reaches_every_control_and_each_has_a_name_and_a_visible_focus(page):
    reached = []
    for _ in range(60):
        page.press("Tab", 9)
        found = page.value(
            "(() => { const e = document.activeElement; return [e.id || e.value || e.tagName, e.tagName,"
            " (e.labels && e.labels.length ? e.labels[0].textContent : e.getAttribute('aria-label') || e.textContent)"
            ".trim(), getComputedStyle(e).outlineStyle]; })()"
        )
        if found[1] == "BODY":
            break
        reached.append(found)
    assert all(name and outline != "none" for _, _, name, outline in reached)
    wanted = {"study", "model", "target", "scale", "contrast", "outline", "choose-all", "igc", "CANVAS"}
    assert wanted <= {one[0] for one in reached}


def test_space_on_a_focused_method_takes_its_map_away(page):
    before = canvases(page)
    page.value("document.querySelector('#methods input').focus()")
    page.press(" ", 32, text=" ")
    assert canvases(page) == before - 1


@pytest.mark.parametrize("study", ["0", "1", "2"])
def test_nothing_is_wider_than_a_phone(page, tab, address, study):
    tab.open(address, width=390, height=844)
    page.choose("#study", study)
    page.until("document.querySelectorAll('#maps canvas').length > 0")
    assert page.value("document.documentElement.scrollWidth") <= 390
    wide = page.value(
        "[...document.querySelectorAll('body *')].filter((e) => !e.closest('.wide, .hidden, .skip, option')"
        " && e.getBoundingClientRect().right > 391).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert wide == []


def test_slices_of_a_volume_are_turned_over_and_shown_together(page):
    page.choose("#study", "2")
    first = page.value("document.querySelector('#maps canvas').toDataURL()")
    page.choose("#slice", "0" if page.value("state.slice") else "1")
    second = page.value("document.querySelector('#maps canvas').toDataURL()")
    assert first != second
    page.click("#montage")
    assert page.value("document.querySelector('#maps canvas').toDataURL()") not in {first, second}
    # nine axial slices of the canonical box of 9 x 10 x 8 voxels: all eight, in three rows
    assert page.value("[layout.columns, layout.rows]") == [3 * 10 - 1, 3 * 11 - 1]


def test_the_colours_of_the_page_are_those_of_the_figures(page):
    expected = [to_hex(one) for one in colormaps[DIVERGING](np.linspace(0, 1, 256))]
    assert json.loads(page.value("JSON.stringify(LOOK.diverging)")) == expected
