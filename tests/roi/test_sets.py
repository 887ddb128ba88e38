import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from igc.errors import DataError, ShapeError, StoreError
from igc.roi.sets import (
    PALETTE,
    REST_COLOR,
    RoiSet,
    from_labels,
    from_masks,
    indicator,
    open_rois,
    parse_rois,
    region_sums,
    region_table,
    save_rois,
)
from igc.store.arrays import save_dataset
from tests.roi.synthetic import make_result

LABELLINGS = hnp.arrays(np.int64, hnp.array_shapes(min_dims=1, max_dims=3, max_side=7), elements=st.integers(-2, 9))


def same(a: RoiSet, b: RoiSet) -> bool:
    return a.name == b.name and a.regions == b.regions and bool(np.array_equal(a.labels, b.labels))


@settings(max_examples=60, deadline=None)
@given(labels=LABELLINGS, seed=st.integers(0, 99))
def test_the_regions_of_any_labelling_sum_to_the_whole_map(labels: np.ndarray, seed: int) -> None:
    maps = np.random.default_rng(seed).normal(size=(2, *labels.shape))
    roi_set = from_labels("any", labels)
    matrix, table = indicator({"any": roi_set})
    total = maps.reshape(2, -1).sum(axis=1)
    sums = region_sums(roi_set, maps)
    np.testing.assert_allclose(sums.sum(axis=1), total, atol=1e-12)
    np.testing.assert_allclose(maps.reshape(2, -1) @ matrix.T, sums, atol=1e-12)
    assert matrix.sum(axis=0).tolist() == [1.0] * labels.size
    assert table["n_components"].tolist() == matrix.sum(axis=1).tolist()
    for row, index in enumerate(roi_set.indices):
        inside = np.maximum(labels, 0) == index
        np.testing.assert_allclose(sums[:, row], maps[:, inside].sum(axis=1), atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(labels=LABELLINGS)
def test_saved_sets_come_back_equal(labels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("rois") / "rois.zarr"
    sets = {"z": from_labels("z", labels), "a": from_masks("a", {"only": labels > 3})}
    save_rois(sets, path)
    found = open_rois(path / "zarr.json")
    assert list(found) == ["z", "a"]
    assert all(same(found[name], sets[name]) for name in sets)


def test_rows_go_set_by_set_with_the_rest_last() -> None:
    sets = {
        "b": from_labels("b", [5, 2, 0, 5], {"5": "five", "2": {"name": "two", "color": "red"}, "7": "none"}),
        "a": from_masks("a", {"right": np.array([0, 0, 1, 1]), "left": np.array([1, 0, 0, 0])}),
    }
    table = region_table(sets)
    assert table["roi"].tolist() == ["b/two", "b/five", "b/none", "b/rest", "a/right", "a/left", "a/rest"]
    assert table["roi_index"].tolist() == [2, 5, 7, 0, 1, 2, 0]
    assert table["n_components"].tolist() == [1, 2, 0, 1, 2, 1, 1]
    assert table["color"].tolist()[:4] == ["#ff0000", PALETTE[1], PALETTE[2], REST_COLOR]
    assert indicator(sets)[0][4].tolist() == [0, 0, 1, 1]


def test_default_colours_go_round_when_they_run_out() -> None:
    roi_set = from_labels("many", np.arange(len(PALETTE) + 2))
    assert roi_set.region(len(PALETTE) + 1).color == PALETTE[0]
    assert len(set(PALETTE)) == len(PALETTE)


@pytest.mark.parametrize(
    ("labels", "regions", "message"),
    [
        ([0, 1, 2], {"1": "one"}, "label 2 without a name"),
        ([0, 1, 1.5], None, "whole numbers"),
        ([0, 1, np.nan], None, "whole numbers"),
        ([0, 2**40], None, "whole numbers"),
        ([0, 1], {1: "rest"}, "the name 'rest'"),
        ([1, 2], {1: "same", 2: "same"}, "the name 'same'"),
        ([1, 2], {1: "tab\tbed", 2: "x"}, "choose another name"),
        ([1, 2], {1: "", 2: "x"}, "the name ''"),
        ([1, 2], {1: {"color": "red"}, 2: "x"}, "the name None"),
        ([1], {1: {"name": "x", "color": "no such colour"}}, "the colour 'no such colour'"),
        ([1], {"one": "x"}, "whole-number labels"),
    ],
)
def test_a_labelling_that_contradicts_itself_is_refused(labels: object, regions: object, message: str) -> None:
    with pytest.raises(DataError, match="ROI set 'atlas'") as caught:
        from_labels("atlas", labels, regions)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_set_name_may_not_look_like_a_region_of_another() -> None:
    with pytest.raises(DataError, match="without '/'"):
        from_labels("a/b", [0, 1])


def test_overlapping_masks_are_refused_and_named() -> None:
    with pytest.raises(DataError, match=r"mask 'c'.*1 components that 'b' has too"):
        from_masks("vt", {"a": np.array([1, 0, 0]), "b": np.array([0, 1, 0]), "c": np.array([0, 1, 1])})


def test_masks_of_different_shapes_and_no_masks_are_refused() -> None:
    with pytest.raises(ShapeError, match="mask 'b'"):
        from_masks("vt", {"a": np.zeros(3), "b": np.zeros(4)})
    with pytest.raises(DataError, match="no mask"):
        from_masks("vt", {})


def test_rois_are_parsed_from_labels_masks_and_sets() -> None:
    labels = np.array([[0, 1, 1], [2, 0, 0]])
    made = from_labels("other name", labels[None], {1: "one", 2: "two"})
    found = parse_rois({"x": labels, "y": {"in": labels > 0}, "z": made}, (1, 2, 3))
    assert [found["x"].labels.shape, list(found["x"].regions)] == [(1, 2, 3), [1, 2]]
    assert found["y"].regions[1].name == "in"
    assert found["z"].name == "z"
    assert found["z"].regions == made.regions
    assert list(parse_rois(labels, (2, 3))) == ["rois"]
    assert parse_rois(None, (3,)) == {}


def test_labels_of_another_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"rois\['x'\].*\(2, 3\)"):
        parse_rois({"x": np.zeros((2, 3), int)}, (1, 3, 2))
    with pytest.raises(ShapeError, match=r"rois\['y'\]\['in'\]"):
        parse_rois({"y": {"in": np.zeros(4)}}, (5,))
    with pytest.raises(ShapeError, match="define the ROI sets again"):
        region_sums(from_labels("x", [0, 1]), np.zeros((2, 3)))


def test_a_store_of_something_else_is_refused(tmp_path) -> None:
    save_dataset(make_result(), tmp_path / "result.zarr")
    with pytest.raises(DataError, match="ROI sets"):
        open_rois(tmp_path / "result.zarr")


def test_damaged_labels_are_noticed(tmp_path) -> None:
    path = tmp_path / "rois.zarr"
    save_rois({"x": from_labels("x", np.arange(500) % 7)}, path)
    chunk = next(file for file in (path / "x").rglob("*") if file.is_file() and file.name != "zarr.json")
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 0xFF
    chunk.write_bytes(bytes(content))
    with pytest.raises(StoreError, match="damaged"):
        open_rois(path)
