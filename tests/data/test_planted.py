import numpy as np
import pytest

from igc.data.planted import CORNERS, masks, planted

EXPERIMENTS = ("weighted_sum", "maximum", "noisy_pair", "permuted")


def counts(experiment):
    return {name: int(np.count_nonzero(mask)) for name, mask in masks(experiment, 64).items()}


def test_weighted_sum_has_the_stated_signs_and_sum():
    weights = masks("weighted_sum", 64)["weights"]
    assert np.count_nonzero(weights < 0) == 180
    assert np.count_nonzero(weights > 0) == 3916
    assert weights.sum() == pytest.approx(0.489, abs=5e-4)


def test_maximum_has_three_overlapping_ellipses_of_the_stated_sizes():
    assert counts("maximum") == {"top": 934, "left": 936, "right": 936}
    covered = np.sum(list(masks("maximum", 64).values()), axis=0)
    assert np.count_nonzero(covered) == 2080
    assert np.count_nonzero(covered > 1) == 588


def test_noisy_pair_has_four_ellipses_of_the_stated_size():
    assert counts("noisy_pair") == dict.fromkeys(CORNERS, 524)


def test_permuted_has_rings_and_squares_of_the_stated_sizes():
    sizes = counts("permuted")
    assert len(sizes) == 10
    assert {sizes[name] for name in sizes if name.endswith("square")} == {64}
    assert {sizes[name] for name in sizes if name.endswith("ring")} == {376}
    assert sizes["centre ring"] + sizes["centre square"] == 440


def centroid(mask):
    rows, columns = np.nonzero(mask)
    return columns.mean() - (mask.shape[1] - 1) / 2, -(rows.mean() - (mask.shape[0] - 1) / 2)


def test_shapes_lie_where_their_names_say():
    for parts, end in ((masks("noisy_pair", 64), ""), (masks("permuted", 64), " ring")):
        for corner, signs in CORNERS.items():
            assert tuple(np.sign(centroid(parts[corner + end]))) == signs
    assert centroid(masks("noisy_pair", 64)["top right"]) == pytest.approx((16, 14))
    assert centroid(masks("permuted", 64)["bottom left square"]) == pytest.approx((-18, -18))
    assert centroid(masks("maximum", 64)["top"])[1] > 0 > centroid(masks("maximum", 64)["left"])[1]
    assert centroid(masks("maximum", 64)["left"])[0] < 0 < centroid(masks("maximum", 64)["right"])[0]


@pytest.mark.parametrize("size", [16, 17, 31, 48, 65, 100])
@pytest.mark.parametrize("experiment", ["noisy_pair", "permuted"])
def test_compared_shapes_match_and_never_overlap_at_any_size(experiment, size):
    parts = masks(experiment, size)
    assert np.sum(list(parts.values()), axis=0).max() == 1
    for kind in ("ring", "square", "left", "right"):
        shapes = [mask for name, mask in parts.items() if name.endswith(kind)]
        trimmed = [m[np.ix_(m.any(axis=1), m.any(axis=0))] for m in shapes]
        assert all(np.array_equal(trimmed[0], shape) for shape in trimmed)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_named_regions_cover_the_truth_exactly(experiment):
    answer = planted(experiment, 64)
    used = np.any(answer.truth != 0, axis=0)
    squares = [code for code, name in answer.names.items() if name.endswith("square")]
    np.testing.assert_array_equal(used, (answer.regions > 0) & ~np.isin(answer.regions, squares))
    assert set(np.unique(answer.regions)) == {0, *answer.names} - ({0} if np.all(answer.regions > 0) else set())
    assert len(set(answer.names.values())) == len(answer.names)


def test_pixels_in_two_ellipses_have_a_region_of_their_own():
    answer = planted("maximum", 64)
    sizes = {name: np.count_nonzero(answer.regions == code) for code, name in answer.names.items()}
    assert sizes["overlap"] == 588
    assert sum(sizes.values()) == 2080


def test_each_class_of_the_permuted_experiment_has_its_own_truth():
    answer = planted("permuted", 64)
    assert answer.truth.shape == (4, 1, 64, 64)
    assert answer.truth.sum(axis=(1, 2, 3)).tolist() == [2 * 376] * 4
    assert np.count_nonzero(answer.truth.all(axis=0)) == 376
