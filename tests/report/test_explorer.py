from __future__ import annotations

import base64
import json
import re
from importlib.resources import files

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from igc.comparison.criteria import RANDOM
from igc.report.explorer import describe_study, explorer_page
from igc.report.packing import unpack_maps
from igc.roi.sets import from_labels
from tests.report.conftest import NAMES, results_of


def numbers(packed):
    return np.frombuffer(base64.b64decode(packed["data"]), dtype=f"<u{packed['bytes']}").astype(int)


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_the_page_holds_the_maps_their_sums_and_the_sums_over_regions(image_samples, rings):
    results = results_of((1, 8, 8), NAMES, rings)
    study = data_of(explorer_page([describe_study("digits", image_samples, rings, results)]))["studies"][0]
    assert study["targets"] == NAMES
    assert study["geometry"] == {"kind": "image", "shape": [8, 8]}
    for found in study["results"]:
        expected = results[found["model"], found["method"]]
        maps = expected["attribution"].values.reshape(10, 64)
        np.testing.assert_allclose(unpack_maps(found["map"]), maps, rtol=0, atol=np.abs(maps).max() / 60000)
        np.testing.assert_allclose(found["sum"], maps.sum(axis=1), rtol=1e-4)
        np.testing.assert_allclose(found["magnitude"], np.abs(maps).sum(axis=1), rtol=1e-4)
        np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-4)
        assert found["regions"]["rings"]["names"] == ["inner", "outer", "rest"]
        np.testing.assert_allclose(found["regions"]["rings"]["value"], expected["roi_attribution"], rtol=1e-4)
        np.testing.assert_allclose(found["regions"]["rings"]["error"], expected["roi_standard_error"], rtol=1e-4)
    np.testing.assert_array_equal(numbers(study["sets"]["rings"]["labels"]), rings["rings"].labels.ravel())


def test_channels_of_an_image_are_summed(image_samples):
    samples = image_samples.isel(sample=slice(0, 4))
    coloured = samples.assign(inputs=(("sample", "channel", "row", "column"), np.zeros((4, 3, 8, 8), np.float32)))
    results = results_of((3, 8, 8), NAMES, models=("cnn-seed0",), methods=("igc",))
    study = describe_study("colour", coloured, {}, results)
    expected = results["cnn-seed0", "igc"]["attribution"].values.sum(axis=1).reshape(10, 64)
    np.testing.assert_allclose(unpack_maps(study["results"][0]["map"]), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["slice_samples", "volume_samples"])
def test_each_voxel_lies_in_the_box_where_its_millimetres_say(kind, request):
    samples = request.getfixturevalue(kind)
    names = [str(one) for one in samples["target"].values]
    index = samples["voxel_index"].values
    study = describe_study("v", samples, {}, results_of((len(index),), names, methods=("igc",)))
    geometry = study["geometry"]
    inside = np.stack(np.unravel_index(numbers(geometry["place"]), geometry["shape"]), axis=1)
    found = np.array(geometry["corner"]) + inside * np.array(geometry["size"])
    np.testing.assert_allclose(found, nib.affines.apply_affine(np.asarray(samples.attrs["affine"]), index), atol=1e-3)
    assert len(numbers(geometry["background"])) == np.prod(geometry["shape"])


def test_maps_too_large_for_the_page_are_left_out_with_a_note_and_the_rest_stays(image_samples, rings):
    results = results_of((1, 8, 8), NAMES, rings)
    study = describe_study("digits", image_samples, rings, results, most_bytes=6000)
    assert "left out" in study["note"]
    assert all("map" not in one and one["regions"]["rings"]["value"] for one in study["results"])
    enough = 4 * 10 * 64 * 2 * 4 // 3
    assert "left out" not in describe_study("digits", image_samples, rings, results, most_bytes=enough)["note"]


def test_of_many_targets_the_best_predicted_are_shown_and_that_is_said(image_samples):
    names = [f"voxel {k}" for k in range(40)]
    study = describe_study("many", image_samples, {}, results_of((1, 8, 8), names, methods=("igc",)))
    assert len(study["targets"]) == 12
    assert "12 best predicted of 40" in study["note"]


def test_rows_of_tables_keep_their_order_and_unknown_numbers_become_null(image_samples):
    table = pd.DataFrame(
        [
            ["cnn-seed0", "igc", "deletion", "mean", 0.1, np.nan, 0.01],
            ["cnn", RANDOM, "deletion", "mean", 0.1, 0.5, 0.0],
        ],
        columns=["model", "method", "curve", "reference", "x", "value", "se"],
    )
    results = results_of((1, 8, 8), NAMES, methods=("igc",))
    study = data_of(explorer_page([describe_study("d", image_samples, {}, results, {"yardstick_curves": table})]))
    # the second row is a mean over seeds, which is no model to choose
    assert study["studies"][0]["curves"] == [["cnn-seed0", "igc", "deletion", "mean", 0.1, None, 0.01]]


def test_names_cannot_break_out_of_the_data(image_samples):
    names = ["</script><script>alert(1)</script>", *NAMES[1:]]
    page = explorer_page([describe_study("d", image_samples, {}, results_of((1, 8, 8), names, methods=("igc",)))])
    assert "</script><script>alert" not in page
    assert data_of(page)["studies"][0]["targets"][0] == names[0]


def test_the_page_is_whole_and_names_no_other_address(image_samples):
    page = explorer_page([describe_study("d", image_samples, {}, results_of((1, 8, 8), NAMES))])
    assert not re.search(r"/\*(STYLE|SCRIPT|DATA)\*/", page)
    addresses = set(re.findall(r"https?://[^\s\"'<]+", page))
    # the name of a language is no address that anything is loaded from
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|img|link|iframe)[^>]*\s(src|href)=", page)


def test_the_templates_are_part_of_the_package():
    names = {one.name for one in files("igc.report").joinpath("templates").iterdir()}
    assert {"explorer.html", "explorer.css", "data.js", "maps.js", "charts.js", "page.js"} <= names


def test_outlines_are_left_out_where_channels_have_regions_of_their_own(image_samples):
    labels = np.stack([np.zeros((8, 8), int), np.ones((8, 8), int)])
    sets = {"channels": from_labels("channels", labels, {1: "second"})}
    samples = image_samples.isel(sample=slice(0, 4))
    coloured = samples.assign(inputs=(("sample", "channel", "row", "column"), np.zeros((4, 2, 8, 8), np.float32)))
    study = describe_study("c", coloured, sets, results_of((2, 8, 8), NAMES, sets, methods=("igc",)))
    assert study["sets"]["channels"]["labels"] is None
    assert study["results"][0]["regions"]["channels"]["names"] == ["second", "rest"]
