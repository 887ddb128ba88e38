"""Maps made elsewhere become results like all others, or are refused in one line before anything is written."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

from igc.cli import app
from igc.config import MethodSettings, Yardsticks
from igc.errors import ConfigError, DataError, IgcError, MethodError, MissingFileError, ShapeError
from igc.steps.attribute import attribute_files
from igc.steps.compare import compare
from igc.steps.given import attribute_given
from igc.steps.yardsticks import judge_models
from igc.store.maps import read_maps
from igc.store.results import open_result
from igc.store.samples import open_samples
from tests.roi.synthetic import make_samples, make_volume
from tests.steps.stored import TARGETS, VOXELS, write_model, write_rois, write_samples

MAPS = np.random.default_rng(0).normal(size=(TARGETS, VOXELS))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    samples, rois = write_samples(folder / "samples.zarr"), write_rois(folder / "rois.zarr")
    write_model(folder / "net")
    settings = MethodSettings(method="igc", points=1, options={"permutations": 0})
    attribute_files(samples, folder / "net", settings, rois, folder / "maps" / "net" / "igc.zarr", progress=False)
    np.save(folder / "mine.npy", MAPS)
    return folder


def enter(study: Path, output: Path, file: Path | None = None, **options: object) -> None:
    settings = MethodSettings(method="given", file=str(file or study / "mine.npy"), options=options)
    places = (study / "samples.zarr", study / "net", settings, study / "rois.zarr", output)
    attribute_given(*places, progress=False)


def test_the_result_holds_the_maps_their_region_sums_and_the_score_of_the_model(study: Path, tmp_path: Path) -> None:
    enter(study, tmp_path / "mine.zarr")
    result, igc = open_result(tmp_path / "mine.zarr"), open_result(study / "maps" / "net" / "igc.zarr")
    np.testing.assert_array_equal(result["attribution"].values, MAPS)
    sums = np.stack([MAPS[:, :2].sum(axis=1), MAPS[:, 2:4].sum(axis=1), MAPS[:, 4:].sum(axis=1)], axis=1)
    np.testing.assert_allclose(result["roi_attribution"].values, sums)
    assert result["roi"].values.tolist() == igc["roi"].values.tolist()
    for name in ("score", "score_fold", "n_fold"):
        np.testing.assert_array_equal(result[name].values, igc[name].values)
    assert result.attrs["signed"] is True
    assert result.attrs["complete"] is False
    assert result.attrs["method"] == "given"
    assert result.attrs["samples_digest"] == igc.attrs["samples_digest"]
    assert np.isnan(result["standard_error"].values).all()


def test_maps_that_sum_to_the_score_promise_it_and_absolute_ones_have_no_sign(study: Path, tmp_path: Path) -> None:
    own = open_result(study / "maps" / "net" / "igc.zarr")
    enter(study, tmp_path / "same.zarr", study / "maps" / "net" / "igc.zarr")
    same = open_result(tmp_path / "same.zarr")
    assert same.attrs["complete"] is True
    np.testing.assert_array_equal(same["attribution"].values, own["attribution"].values)
    np.save(tmp_path / "absolute.npy", np.abs(MAPS))
    enter(study, tmp_path / "absolute.zarr", tmp_path / "absolute.npy")
    assert open_result(tmp_path / "absolute.zarr").attrs["signed"] is False
    enter(study, tmp_path / "positive.zarr", tmp_path / "absolute.npy", signed=True)
    assert open_result(tmp_path / "positive.zarr").attrs["signed"] is True


def test_a_given_map_is_judged_as_the_method_that_made_it(study: Path, tmp_path: Path) -> None:
    entered = tmp_path / "net" / "mine.zarr"
    enter(study, entered, study / "maps" / "net" / "igc.zarr")
    results = [study / "maps" / "net" / "igc.zarr", entered]
    light = Yardsticks(samples=8, steps=3, subsets=12, scored=40, randomized=0, retrained=60)
    samples = study / "samples.zarr"
    judge_models(samples, [study / "net"], results, light, tmp_path / "judged", study / "rois.zarr", progress=False)
    compare(samples, results, [], tmp_path / "comparison", tmp_path / "judged")
    summary = np.genfromtxt(tmp_path / "comparison" / "summary.tsv", delimiter="\t", names=True, dtype=None)
    by_method = {
        name: {
            tuple(row[["roi_set", "metric", "reference"]].tolist()): row["value"]
            for row in summary[summary["method"] == name]
        }
        for name in ("igc", "mine")
    }
    # what its maker knows beside the map is not known here
    unknown = {"map_split_half", "roi_split_half", "completeness_gap", "baseline_seed"}
    costs = {"seconds", "evaluations_per_sample", "agreement", "roi_agreement"}
    shared = {key for key in by_method["igc"] if key[1] not in unknown | costs}
    assert {key[1] for key in shared} >= {"deletion", "roi_rank", "keep_retrain", "sensitivity_n", "score_deletion"}
    for key in shared:
        assert by_method["mine"][key] == pytest.approx(by_method["igc"][key], abs=1e-9), key
    alike = [value for key, value in by_method["mine"].items() if key[1:] == ("agreement", "igc")]
    assert alike == [pytest.approx(1)]


def test_the_command_line_takes_it_as_any_method(study: Path, tmp_path: Path) -> None:
    settings = f"{{method: given, file: {study / 'mine.npy'}}}"
    words = ["attribute", "--settings", settings, "--samples", study / "samples.zarr", "--model", study / "net"]
    done = CliRunner().invoke(app, [*map(str, words), "--output", str(tmp_path / "mine.zarr")])
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(open_result(tmp_path / "mine.zarr")["attribution"].values, MAPS)


def test_the_configuration_wants_a_file_for_this_method_alone() -> None:
    with pytest.raises(ValueError, match="method given needs a file"):
        MethodSettings(method="given")
    with pytest.raises(ValueError, match="only method given has a file"):
        MethodSettings(method="igc", file="mine.npy")


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        (MAPS[:2], ShapeError, r"shape \(2, 6\)"),
        (MAPS.T, ShapeError, r"shape \(6, 3\)"),
        (MAPS[0], ShapeError, "one map a target"),
        (np.where(MAPS > 1, np.nan, MAPS), DataError, "NaN or infinite"),
        (MAPS.astype(complex), DataError, "complex128"),
    ],
    ids=["fewer targets", "transposed", "one map", "NaN", "complex"],
)
def test_maps_that_do_not_fit_are_refused_in_one_line(
    study: Path, tmp_path: Path, values: np.ndarray, error: type[IgcError], words: str
) -> None:
    np.save(tmp_path / "bad.npy", values)
    with pytest.raises(error, match=words) as caught:
        enter(study, tmp_path / "out.zarr", tmp_path / "bad.npy")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.zarr").exists()


def test_files_that_cannot_be_read_are_refused(study: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such file"):
        enter(study, tmp_path / "out.zarr", tmp_path / "none.npy")
    (tmp_path / "text.npy").write_text("not an array")
    with pytest.raises(DataError, match="unreadable"):
        enter(study, tmp_path / "out.zarr", tmp_path / "text.npy")
    np.savez(tmp_path / "several.npz", a=MAPS)
    with pytest.raises(DataError, match="npz"):
        enter(study, tmp_path / "out.zarr", tmp_path / "several.npz")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(DataError, match="unreadable"):
        enter(study, tmp_path / "out.zarr", tmp_path / "empty.zarr")
    with pytest.raises(MethodError, match="sined"):
        enter(study, tmp_path / "out.zarr", sined=True)
    with pytest.raises(ConfigError, match="no file"):
        attribute_given(study / "samples.zarr", study / "net", MethodSettings(), None, tmp_path / "out.zarr")


def test_zarr_arrays_and_maps_without_their_single_axes_are_read(tmp_path: Path) -> None:
    samples = make_samples((1, 4, 5), n=4, target_names=["only"])
    samples = samples.assign_coords(target=["only"])
    values = np.arange(20.0).reshape(4, 5)
    zarr.save_array(str(tmp_path / "map.zarr"), values)
    np.testing.assert_array_equal(read_maps(tmp_path / "map.zarr", samples), values[None, None])
    np.save(tmp_path / "map.npy", values[None])
    np.testing.assert_array_equal(read_maps(tmp_path / "map.npy", samples), values[None, None])


def test_a_result_of_other_targets_is_refused(study: Path, tmp_path: Path) -> None:
    samples = open_samples(study / "samples.zarr").load()
    with pytest.raises(DataError, match="maps of a, b, c"):
        read_maps(study / "maps" / "net" / "igc.zarr", samples.assign_coords(target=["a", "c", "b"]))


def test_volumes_are_read_on_the_grid_of_the_data(tmp_path: Path) -> None:
    samples = make_volume()
    samples = samples.assign_coords(target=samples.attrs["target_names"])
    shape, n = tuple(samples.attrs["volume_shape"]), samples.sizes["target"]
    volume = np.random.default_rng(0).normal(size=(*shape, n))
    affine = np.asarray(samples.attrs["affine"])
    nib.save(nib.Nifti1Image(volume, affine), tmp_path / "map.nii.gz")
    index = samples["voxel_index"].values
    expected = [[volume[x, y, z, k] for x, y, z in index] for k in range(n)]
    np.testing.assert_allclose(read_maps(tmp_path / "map.nii.gz", samples), expected)
    nib.save(nib.Nifti1Image(volume, affine + np.eye(4)), tmp_path / "moved.nii.gz")
    with pytest.raises(ShapeError, match="another place"):
        read_maps(tmp_path / "moved.nii.gz", samples)
    nib.save(nib.Nifti1Image(volume[1:], affine), tmp_path / "cut.nii.gz")
    with pytest.raises(ShapeError, match="resample"):
        read_maps(tmp_path / "cut.nii.gz", samples)
    with pytest.raises(DataError, match="no voxels"):
        read_maps(tmp_path / "map.nii.gz", make_samples())
