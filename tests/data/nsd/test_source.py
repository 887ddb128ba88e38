import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from igc.config import NsdData, Split, Study
from igc.data.nsd.betas import open_betas
from igc.data.nsd.convert import convert_betas
from igc.data.nsd.design import read_design
from igc.data.nsd.layout import SPACES, TRIALS, Layout
from igc.data.nsd.planted import receptive_fields
from igc.data.nsd.rois import read_roi
from igc.data.nsd.source import open_nsd
from igc.data.nsd.statistics import image_statistics
from igc.data.nsd.stimuli import open_stimuli
from igc.data.sources import write_samples
from igc.errors import ConfigError, MissingFileError
from igc.stats.noise_ceiling import normalized_correlation, normalized_r2, zscored
from igc.store.arrays import open_store
from igc.store.ceilings import ceiling_of
from igc.store.samples import open_samples


def settings(root, **changes):
    return NsdData(**{"kind": "nsd", "folder": str(root), "subject": 1, **changes})


def read_all(data, seed=0):
    with open_nsd(data, seed) as source:
        inputs, responses = source.read(np.arange(len(source.groups)))
        return source, inputs, responses


def raw_trials(root, subject, n_sessions, space="func1pt8mm", mask="nsdgeneral"):
    """All trials of the mask, read voxel by voxel from the NIfTI files, in percent."""
    layout = Layout(root, subject, space)
    inside = np.asarray(nib.load(layout.volumes / "roi" / f"{mask}.nii.gz").dataobj) > 0
    sessions = [
        np.asarray(nib.load(layout.betas / f"betas_session{s:02d}.nii.gz").dataobj)[inside].T / 300
        for s in range(1, n_sessions + 1)
    ]
    gone = np.any([~session.any(axis=0) for session in sessions], axis=0)
    return np.concatenate(sessions)[:, ~gone], np.argwhere(inside)[~gone], gone


def test_samples_are_averages_of_z_scores_with_statistics_of_their_images(small):
    source, inputs, responses = read_all(settings(small))
    raw, index, gone = raw_trials(small, 1, 2)
    trials = read_design(Layout(small, 1).design).trials(1, 2)
    scores = zscored(raw, trials.session)
    images = np.unique(trials.image)
    expected = np.stack([scores[trials.image == image].mean(axis=0) for image in images])
    np.testing.assert_allclose(inputs, expected, atol=1e-5)
    np.testing.assert_array_equal(source.sample_ids, images)
    np.testing.assert_array_equal(source.variables["voxel_index"].values, index)
    assert gone.sum() == source.origin["components_left_out"] == 1
    stimuli = open_stimuli(Layout(small, 1).stimuli).read(images)
    np.testing.assert_allclose(responses, image_statistics(stimuli, ["luminance", "contrast", "slope"]), rtol=1e-6)
    assert source.target_names == ["luminance", "contrast", "slope"]


def test_hdf5_nifti_and_zarr_routes_give_identical_samples(small, tmp_path):
    plain = read_all(settings(small))[1]
    for _ in range(2):
        np.testing.assert_array_equal(read_all(settings(small, cache=str(tmp_path)))[1], plain)
    bare = tmp_path / "bare"
    bare.mkdir()
    for item in small.iterdir():
        if item.name != "nsddata_betas":
            (bare / item.name).symlink_to(item)
    folder = Layout(bare, 1).betas
    folder.mkdir(parents=True)
    for path in Layout(small, 1).betas.glob("*.nii.gz"):
        (folder / path.name).symlink_to(path)
    source, inputs, _ = read_all(settings(bare))
    assert source.origin["form"] == "nii.gz"
    np.testing.assert_array_equal(inputs, plain)


def test_conversion_is_made_again_when_the_files_or_the_mask_change(small, tmp_path):
    data = settings(small, cache=str(tmp_path))
    read_all(data)
    stored = tmp_path / "subj01_func1pt8mm_b3_nsdgeneral.zarr"
    first = stored.stat().st_ino
    read_all(data)
    assert stored.stat().st_ino == first
    read_all(settings(small, cache=str(tmp_path), sessions=1))
    assert open_store(stored).attrs["nsd"]["sessions"] == 1


@pytest.mark.parametrize("space", list(SPACES))
def test_converted_store_holds_the_trials_of_the_mask(small, tmp_path, space):
    files = open_betas(Layout(small, 1, space))
    mask = read_roi(files.layout, files.grid, "nsdgeneral").labels > 0
    convert_betas(files, mask, tmp_path / "a.zarr")
    store = open_store(tmp_path / "a.zarr")
    for number in (1, 2):
        rows = store["session"].values == number
        np.testing.assert_array_equal(store["betas"].values[rows], files.read(number, mask))
    np.testing.assert_array_equal(store["voxel_index"].values, files.grid.index(mask))
    assert store["missing"].values.sum() == 1


@pytest.mark.parametrize("test", ["shared1000", "special515", "random"])
@pytest.mark.parametrize("average", ["image", "trial"])
def test_no_trial_of_a_test_image_is_used_for_training(small, tmp_path, test, average):
    data = settings(small, test=test, average=average)
    write_samples(data, Split(), 0, tmp_path / "samples.zarr", "nsd")
    samples = open_samples(tmp_path / "samples.zarr")
    trials = read_design(Layout(small, 1).design).trials(1, 2)
    ids = samples["sample_id"].values
    images = ids if average == "image" else trials.image[ids]
    held, trained = (set(images[samples["split"].values == name]) for name in ("test", "train"))
    assert not held & trained
    assert held | trained == set(trials.image)
    assert len(ids) == (500 if average == "image" else 2 * TRIALS)
    if test == "random":
        assert len(held) == 50


def test_shared_images_are_the_first_of_the_list_and_special_ones_seen_three_times_by_all(ordinary):
    design = read_design(Layout(ordinary, 1).design)
    for subject, n_sessions in ((1, 3), (2, 2)):
        source, _, _ = read_all(settings(ordinary, subject=subject, test="shared1000", mask="prf-visualrois"))
        trials = design.trials(subject, n_sessions)
        assert set(source.sample_ids[source.test]) == set(trials.image[trials.place < 100])
        source, _, _ = read_all(settings(ordinary, subject=subject, test="special515", mask="prf-visualrois"))
        special = set(source.sample_ids[source.test])
        # the one with fewer sessions decides for both
        first = np.bincount(design.order[: 2 * TRIALS], minlength=750)[:100]
        assert special == set(design.images[0][:100][first == 3])


def test_statistics_of_training_trials_only_leave_out_those_of_test_images(small):
    source, inputs, _ = read_all(settings(small, average="trial", standardize="train"))
    raw, _, _ = raw_trials(small, 1, 2)
    trials = read_design(Layout(small, 1).design).trials(1, 2)
    for session in (1, 2):
        rows = trials.session == session
        train = rows & ~source.test
        expected = (raw[rows] - raw[train].mean(axis=0)) / raw[train].std(axis=0, ddof=1)
        np.testing.assert_allclose(inputs[rows], expected, atol=2e-5)
    unscaled = read_all(settings(small, average="trial", standardize="none"))[1]
    np.testing.assert_allclose(unscaled, raw, rtol=1e-6)


def test_training_statistics_need_a_fixed_test_set(small):
    with pytest.raises(ValidationError, match="needs test images"):
        settings(small, standardize="train", test="none")
    block = {"data": settings(small, standardize="train").model_dump(), "models": {"ridge": {"kind": "linear"}}}
    Study.model_validate(block)
    with pytest.raises(ValidationError, match=r"needs split\.folds 'given'"):
        Study.model_validate(block | {"split": {"folds": 3}})


def test_encoding_reads_small_images_and_gives_each_voxel_its_ceiling(ordinary):
    data = settings(ordinary, predict="responses", mask="prf-visualrois", image_size=16, atlases={"areas": "streams"})
    source, inputs, responses = read_all(data)
    assert inputs.shape == (750, 1, 16, 16)
    assert responses.shape[1] == len(source.target_names) == len(source.variables["target_ceiling"].values)
    planted = pd.read_csv(ordinary / "planted" / "subj01_func1pt8mm.tsv", sep="\t")
    known = {tuple(row): c for row, c in zip(planted[["x", "y", "z"]].to_numpy(), planted["ceiling"], strict=True)}
    true = np.array([known[tuple(row)] for row in source.variables["target_voxel_index"].values.tolist()])
    found = source.variables["target_ceiling"].values
    assert abs(np.median(found) - np.median(true)) < 2
    assert np.median(np.abs(found - true)) < 2
    assert source.target_names[0] == "voxel " + "-".join(map(str, source.variables["target_voxel_index"].values[0]))
    colours = read_all(settings(ordinary, predict="responses", mask="prf-visualrois", channels="rgb"))[1]
    stimuli = open_stimuli(Layout(ordinary, 1).stimuli).read(source.sample_ids[:3])
    np.testing.assert_allclose(colours[:3], np.moveaxis(stimuli, 3, 1) / 255, atol=1e-6)


def test_a_model_that_knows_the_truth_has_a_normalised_correlation_of_one(ordinary, tmp_path):
    data = settings(ordinary, predict="responses", mask="prf-visualrois")
    write_samples(data, Split(), 0, tmp_path / "samples.zarr", "encoding")
    samples = open_samples(tmp_path / "samples.zarr")
    held = samples["fold"].values >= 0
    np.testing.assert_array_equal(samples["trials"].values[held], 3)
    planted = pd.read_csv(ordinary / "planted" / "subj01_func1pt8mm.tsv", sep="\t")
    planted = planted.set_index(["x", "y", "z"]).loc[list(map(tuple, samples["target_voxel_index"].values))]
    luminance = (planted["code"] == "luminance").to_numpy()
    fields = receptive_fields(planted.loc[luminance, ["field_x", "field_y", "field_sd"]].to_numpy(), 32)
    # luminance comes linearly, so that the planted drive can be had from the inputs alone
    drive = samples["inputs"].values[held].reshape(held.sum(), -1) @ fields.reshape(len(fields), -1).T
    response = samples["responses"].values[held][:, luminance]
    correlation = np.array([np.corrcoef(*pair)[0, 1] for pair in zip(drive.T, response.T, strict=True)])
    ceiling = ceiling_of(samples)[luminance]
    assert np.median(np.abs(ceiling - planted["ceiling"][luminance])) < 2
    assert np.median(correlation) < 0.95
    assert abs(np.median(normalized_correlation(correlation, ceiling)) - 1) < 0.02
    assert abs(np.median(normalized_r2(correlation, ceiling)) - 1) < 0.04


def test_ceiling_is_unknown_where_no_image_came_back(small, monkeypatch):
    import igc.data.nsd.source as module

    monkeypatch.setattr(module, "repeated_trials", lambda images: np.empty((0, 3), dtype=int))
    source, _, _ = read_all(settings(small, predict="responses", mask="prf-visualrois"))
    assert np.isnan(source.variables["target_ceiling"].values).all()


@pytest.mark.parametrize(
    ("space", "kind"), [("func1mm", "volume"), ("nativesurface", "vector"), ("fsaverage", "vector")]
)
def test_all_spaces_become_samples_with_their_rois(small, space, kind):
    atlases = {"streams": "streams", "areas": "Kastner2015" if space == "fsaverage" else "prf-visualrois"}
    data = settings(small, space=space, atlases=atlases, divide_hemispheres=True)
    source, inputs, _ = read_all(data)
    assert source.kind == ("volume" if space == "func1mm" else "vector")
    assert np.isfinite(inputs).all()
    areas = source.variables["atlas_areas"]
    assert areas.values.shape == inputs.shape[1:]
    names = {region["name"] for region in areas.attributes["regions"].values()}
    assert {"lh V1v", "rh V1v"} <= names


def test_absent_region_is_no_region_of_the_samples(small):
    names = {}
    for subject in (1, 2):
        source, _, _ = read_all(settings(small, subject=subject, atlases={"areas": "prf-visualrois"}))
        names[subject] = [region["name"] for region in source.variables["atlas_areas"].attributes["regions"].values()]
    assert "hV4" in names[1]
    assert names[2] == [name for name in names[1] if name != "hV4"]


def test_background_is_of_the_space_of_the_responses(small):
    source, _, _ = read_all(settings(small))
    image = nib.load(Layout(small, 1).volumes / "T1_to_func1pt8mm.nii.gz")
    np.testing.assert_array_equal(source.variables["background"].values, image.get_fdata())
    np.testing.assert_allclose(source.attributes["affine"], image.affine)


def test_planted_region_carries_what_is_decoded(ordinary):
    source, inputs, responses = read_all(settings(ordinary, atlases={"areas": "prf-visualrois"}))
    areas = source.variables["atlas_areas"].values
    train, test = ~source.test, source.test
    x = inputs.astype(np.float64)
    for target, codes in (("contrast", (1, 2)), ("slope", (5, 6)), ("luminance", (3, 4, 7))):
        y = responses[:, source.target_names.index(target)].astype(np.float64)
        y = (y - y[train].mean()) / y[train].std()
        weights = np.linalg.solve(x[train].T @ x[train] + 100 * np.eye(x.shape[1]), x[train].T @ y[train])
        predicted = x[test] @ weights
        score = np.corrcoef(predicted, y[test])[0, 1]
        inside = np.isin(areas, codes)
        share = np.cov(x[test][:, inside] @ weights[inside], y[test])[0, 1] / np.cov(predicted, y[test])[0, 1]
        assert score > 0.6, target
        assert share > 0.9, target


def test_wrong_settings_say_what_is_there(small):
    with pytest.raises(MissingFileError, match="betas_session"):
        read_all(settings(small, version="b2"))
    with pytest.raises(MissingFileError, match="prf-eccrois"):
        read_all(settings(small, mask="prf-eccrois"))
    with pytest.raises(ConfigError, match="luminance, contrast, slope"):
        read_all(settings(small, statistics=["colour"]))
