from __future__ import annotations

import re

import pytest

from igc.report.viewers import viewer_pages
from tests.report.browser import browsing, find_browser
from tests.report.conftest import results_of


@pytest.fixture(scope="module")
def pages(volume_samples):
    return viewer_pages(volume_samples, results_of((volume_samples.sizes["voxel"],), ["speed"]))


def test_each_result_of_a_volume_gets_a_page_that_names_it_and_loads_nothing(pages):
    assert len(pages) == 4
    assert "integrated gradients, linear, target speed" in pages["linear-seed0", "integrated_gradients"]
    for page in pages.values():
        assert not re.search(r"<(script|img|link|iframe)[^>]*\s(src|href)=[\"']?(https?:)?//", page)
        assert len(page) < 1 << 20


def test_maps_that_sum_to_the_score_share_a_limit_and_others_have_their_own(pages):
    limits = {key: re.findall(r'"max": ?([0-9.e-]+)', page) for key, page in pages.items()}
    assert limits["cnn-seed0", "igc"] == limits["linear-seed0", "igc"] != []
    assert limits["cnn-seed0", "igc"] != limits["cnn-seed0", "integrated_gradients"]


def test_a_single_slice_has_no_page(slice_samples):
    assert viewer_pages(slice_samples, results_of((slice_samples.sizes["voxel"],), ["face", "house"])) == {}


@pytest.mark.browser
@pytest.mark.skipif(find_browser() is None, reason="no browser of the Chromium family found")
def test_the_viewer_opens_in_a_browser_without_an_error(pages, tmp_path):
    path = tmp_path / "igc.html"
    path.write_text(pages["cnn-seed0", "igc"], encoding="utf-8")
    with browsing(str(find_browser()), tmp_path / "profile") as tab:
        tab.open(path.as_uri())
        tab.until("document.querySelectorAll('canvas').length > 0")
        faults = [one for one in tab.faults if "willReadFrequently" not in one]
        assert faults == []
        assert {one.split(":")[0] for one in tab.requests} <= {"file", "data", "about"}
