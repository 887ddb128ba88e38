from __future__ import annotations

import numpy as np
import pytest

from igc.report.maps import maps_igc, maps_methods, painters
from igc.report.style import colour_limit
from tests.report.conftest import NAMES, random_maps, results_of
from tests.report.inspecting import clipped, overlapping, panels, words
from tests.report.studies import make_result, open_samples, write_samples

LONG = ["left versus right button press with the dominant hand", "scrambled_pictures_of_faces_and_of_houses", "ü"]


def limits(figure):
    return [image.get_clim() for axes in panels(figure, "map") for image in axes.get_images()]


def test_all_maps_of_igc_share_one_symmetric_scale(image_samples):
    results = results_of((1, 8, 8), NAMES)
    figure = maps_igc(image_samples, results)
    shown = [result["attribution"].values.sum(axis=1) for (_, method), result in results.items() if method == "igc"]
    expected = colour_limit(shown)
    assert len(panels(figure, "map")) == 20
    assert limits(figure) == [(-expected, expected)] * 20
    assert "sums to the score" in words(figure)
    assert "99.5%" in words(figure)


def test_each_panel_names_its_target_and_score_and_each_block_its_model(image_samples):
    results = results_of((1, 8, 8), NAMES)
    said = words(maps_igc(image_samples, results))
    for model in ("cnn", "linear"):
        score = results[f"{model}-seed0", "igc"]["score"].values
        assert f"{model}: mean r = {score.mean():.2f} over 10 targets" in said
        assert all(f"{name}, r = {value:.2f}" in said for name, value in zip(NAMES, score, strict=True))
    assert "A study of images · IGC" in said


def test_panels_show_the_values_of_their_target(image_samples):
    results = results_of((1, 8, 8), NAMES, models=("cnn-seed0",))
    figure = maps_igc(image_samples, results)
    for k, axes in enumerate(panels(figure, "map")):
        expected = results["cnn-seed0", "igc"]["attribution"].values[k, 0]
        np.testing.assert_allclose(axes.get_images()[0].get_array(), expected)


def test_closed_methods_share_a_scale_and_others_have_their_own(image_samples):
    methods = ("igc", "igc_zero", "integrated_gradients", "naive_correlation")
    results = results_of((1, 8, 8), NAMES, methods=methods)
    figure = maps_methods(image_samples, results)
    found = limits(figure)
    assert len(found) == 8 * 10
    assert all(low == -high for low, high in found)
    by_line = [set(found[10 * k : 10 * k + 10]) for k in range(8)]
    assert all(len(line) == 1 for line in by_line)
    assert by_line[0] == by_line[1] == by_line[2] == by_line[3]
    assert by_line[4] == by_line[5] != by_line[0]
    assert by_line[6] == by_line[7] != by_line[4]
    assert all(name in words(figure) for name in ("IGC zero", "integrated gradients", "naive correlation", "linear"))


def test_of_many_targets_the_best_predicted_are_shown_and_the_figure_says_so(tmp_path):
    names = [f"vertex {k}" for k in range(40)]
    write_samples(tmp_path / "samples.zarr", "image", names, False, (1, 6, 6))
    samples = open_samples(tmp_path / "samples.zarr")
    results = results_of((1, 6, 6), names, models=("cnn-seed0",))
    score = np.zeros(40)
    best = [3, 4, 8, 11, 12, 20, 21, 25, 30, 31, 33, 39]
    score[best] = np.linspace(0.9, 0.5, 12)
    score[0] = np.nan
    for result in results.values():
        result["score"] = ("target", score)
    for figure in (maps_igc(samples, results), maps_methods(samples, results)):
        said = words(figure)
        assert "The 12 best predicted of 40 targets are shown." in said
        assert all(f"vertex {k}" in said for k in best)
        assert "vertex 0" not in said
        assert not clipped(figure)
        assert not overlapping(figure)
    assert len(panels(maps_igc(samples, results), "map")) == 12


@pytest.mark.parametrize("names", [LONG, LONG[:1], [f"{LONG[1]} {k}" for k in range(11)]], ids=["3", "1", "11"])
def test_long_names_neither_overlap_nor_leave_the_figure(tmp_path, names):
    title = "A study with a title that goes on and on until it is wider than any figure that we could draw for it, " * 2
    write_samples(tmp_path / "samples.zarr", "image", names, False, (1, 6, 6), title=title)
    samples = open_samples(tmp_path / "samples.zarr")
    models = ("a_very_deep_convolutional_network_with_residuals-seed0", "linear-seed0", "linear-seed1")
    results = results_of((1, 6, 6), names, models=models, methods=("igc", "integrated_gradients_of_absolute_values"))
    for figure in (maps_igc(samples, results), maps_methods(samples, results)):
        assert not clipped(figure)
        assert not overlapping(figure)
        assert "The first seed of each model is shown (1 more in the tables)." in words(figure)


def test_the_planted_truth_stands_beside_the_maps_of_all_models(tmp_path):
    truth = np.zeros((1, 1, 8, 8), dtype=np.float32)
    truth[0, 0, 2:5, 3:6] = -2
    write_samples(tmp_path / "samples.zarr", "image", ["sum"], False, (1, 8, 8), truth=truth)
    samples = open_samples(tmp_path / "samples.zarr")
    results = results_of((1, 8, 8), ["sum"])
    for figure, count in ((maps_igc(samples, results), 3), (maps_methods(samples, results), 5)):
        found = panels(figure, "map")
        assert len(found) == count
        planted = [axes for axes in found if axes.get_images()[0].get_clim() == (-2, 2)]
        assert len(planted) == 1
        np.testing.assert_array_equal(planted[0].get_images()[0].get_array(), truth[0, 0])
        assert "planted truth" in words(figure)
        assert not overlapping(figure)


def test_a_slice_of_a_brain_is_drawn_over_the_mean_image_with_one_scale(slice_samples):
    results = results_of(slice_samples["inputs"].shape[1:], ["face", "house"])
    draw = painters(slice_samples, results)
    figure = maps_igc(slice_samples, results, draw)
    maps = [axes.get_images()[1].get_clim() for axes in panels(figure, "map")]
    assert len(maps) == 4
    assert len(set(maps)) == 1
    assert maps[0][0] == -maps[0][1]
    assert "The axial slice at 8 mm" in words(figure).replace("\N{NO-BREAK SPACE}", " ")
    assert not overlapping(maps_methods(slice_samples, results, draw))


def test_a_volume_is_cut_where_its_maps_are_strong(volume_samples):
    results = results_of(volume_samples["inputs"].shape[1:], ["speed"], models=("mlp-seed0",), methods=("igc",))
    index = volume_samples["voxel_index"].values
    results["mlp-seed0", "igc"]["attribution"][0] = (index[:, 2] == 4) * 0.01
    figure = maps_igc(volume_samples, results)
    assert "z=24" in words(figure)
    assert "slice at 24 mm" in words(maps_methods(volume_samples, results)).replace("\N{NO-BREAK SPACE}", " ")


def test_components_without_a_place_are_drawn_as_bars(tmp_path):
    write_samples(tmp_path / "samples.zarr", "vector", ["y"], False, (20,))
    samples = open_samples(tmp_path / "samples.zarr")
    results = results_of((20,), ["y"], models=("mlp-seed0",))
    (axes,) = panels(maps_igc(samples, results), "map")
    heights = [bar.get_height() for bar in axes.patches]
    np.testing.assert_allclose(heights, results["mlp-seed0", "igc"]["attribution"].values[0])
    low, high = axes.get_ylim()
    assert low == -high


def test_a_study_without_maps_that_sum_to_the_score_says_so(image_samples):
    maps = random_maps((10, 1, 8, 8))
    results = {("cnn-seed0", "gradient_x_input"): make_result(maps, NAMES, "gradient_x_input", "cnn-seed0")}
    assert "No method of this study gives maps that sum to the score" in words(maps_igc(image_samples, results))
    assert len(panels(maps_methods(image_samples, results), "map")) == 10
