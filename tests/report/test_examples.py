from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from igc.report.examples import MAX_EXAMPLES, choose_shown, examples_figure
from igc.report.style import save_figure
from igc.store.samples import open_samples
from tests.report.studies import make_result, write_samples


def explained(rows: list[int], targets: list[int], shape: tuple[int, ...], n_targets: int, method: str) -> xr.Dataset:
    maps = np.random.default_rng(1).normal(size=(n_targets, *shape))
    result = make_result(maps, [f"t{k}" for k in range(n_targets)], method, "m")
    dims = result["attribution"].dims[1:]
    values = np.arange(len(rows) * np.prod(shape), dtype=np.float32).reshape(len(rows), *shape) + 1
    result = result.assign(example_attribution=(("example", *dims), values))
    return result.assign_coords(example_row=("example", rows), example_target=("example", targets))


def test_samples_that_all_methods_explained_come_first_and_of_each_class_one() -> None:
    rows, targets = list(range(20)), [k % 4 for k in range(20)]
    whole = explained(rows, targets, (3,), 4, "a")
    few = explained(rows[10:18], targets[10:18], (3,), 4, "b")
    chosen = choose_shown({"a": whole, "b": few}, categories=True)
    assert len(chosen) == MAX_EXAMPLES
    assert set(chosen) <= set(range(10, 18))
    assert [targets[row] for row in chosen] == [0, 0, 1, 1, 2, 3]


def test_samples_of_values_lie_far_apart() -> None:
    chosen = choose_shown({"a": explained(list(range(100)), [0] * 100, (3,), 1, "a")}, categories=False)
    np.testing.assert_array_equal(chosen, [0, 20, 40, 59, 79, 99])


def test_few_samples_are_all_shown() -> None:
    assert list(choose_shown({"a": explained([4, 9], [0, 0], (3,), 1, "a")}, categories=False)) == [4, 9]


@pytest.mark.parametrize(
    ("kind", "shape", "components"),
    [("image", (1, 6, 6), (1, 6, 6)), ("volume", (5, 5, 3), None), ("vector", (7,), (7,))],
)
def test_each_method_has_a_row_and_the_input_one_above(
    tmp_path: Path, kind: str, shape: tuple[int, ...], components: tuple[int, ...] | None
) -> None:
    write_samples(tmp_path / "samples.zarr", kind, ["t0", "t1"], categories=False, shape=shape)
    samples = open_samples(tmp_path / "samples.zarr")
    own = components or samples["inputs"].shape[1:]
    results = {
        ("m-seed0", "igc"): make_result(np.ones((2, *own)), ["t0", "t1"], "igc", "m"),
        ("m-seed0", "a"): explained([2, 5, 8], [0, 1, 0], own, 2, "a"),
        ("m-seed0", "b"): explained([5], [1], own, 2, "b"),
    }
    figure = examples_figure(samples, results)
    assert len([axes for axes in figure.axes if axes.get_label() == "map"]) == 3 + 3 + 1
    said = " ".join(text.get_text() for text in figure.texts)
    assert "explained fewer samples" in said
    value = float(samples["responses"].values[5, 1])
    assert f"t1 = {value:.2f}".replace("-", "\N{MINUS SIGN}") in said
    save_figure(figure, tmp_path / "examples.png")


def test_a_study_without_maps_of_single_samples_says_so(tmp_path: Path) -> None:
    write_samples(tmp_path / "samples.zarr", "vector", ["t0"], categories=False, shape=(4,))
    results = {("m-seed0", "igc"): make_result(np.ones((1, 4)), ["t0"], "igc", "m")}
    figure = examples_figure(open_samples(tmp_path / "samples.zarr"), results)
    assert any("No map of a single sample" in text.get_text() for text in figure.texts)
