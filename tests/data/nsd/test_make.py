import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from igc.cli import app
from igc.data.nsd.betas import open_betas
from igc.data.nsd.design import read_design
from igc.data.nsd.layout import SPACES, Layout
from igc.data.nsd.make import Recipe, make_nsd
from igc.data.nsd.planted import WIDTH, draw_images, layout_of_surface, layout_of_volume, receptive_fields
from igc.data.nsd.rois import read_roi
from igc.data.nsd.writing import to_integers
from igc.errors import ConfigError, StoreError
from igc.stats.noise_ceiling import noise_ceiling, signal_to_noise, zscored
from igc.store.samples import open_samples
from tests.data.nsd.conftest import SMALL


def test_command_makes_files_that_become_samples(tmp_path):
    root, samples = tmp_path / "nsd", tmp_path / "samples.zarr"
    options = ["--sessions", "1", "--space", "fsaverage", "--image-size", "16", "--shared", "20", "--vertices", "100"]
    made = CliRunner().invoke(app, ["make-nsd", "--output", str(root), *options])
    assert made.exit_code == 0, made.output
    block = f"{{kind: nsd, folder: {root}, space: fsaverage}}"
    result = CliRunner().invoke(app, ["preprocess", "--settings", block, "--output", str(samples), "--study", "nsd"])
    assert result.exit_code == 0, result.output
    dataset = open_samples(samples)
    assert dataset.sizes["sample"] == 250
    assert (dataset["fold"].values == 0).sum() == 20
    again = CliRunner().invoke(app, ["make-nsd", "--output", str(root), *options])
    assert again.exit_code == 2
    assert again.output.count("\n") == 1
    assert CliRunner().invoke(app, ["make-nsd", "--output", str(root), *options, "--again"]).exit_code == 0


@pytest.mark.parametrize(
    "change", [{"sessions": (0,)}, {"sessions": (1,) * 9}, {"image_size": 8}, {"spaces": ("MNI",)}]
)
def test_recipe_that_cannot_be_followed_is_refused_before_anything_is_written(tmp_path, change):
    with pytest.raises(ConfigError, match="make-nsd"):
        make_nsd(tmp_path / "nsd", Recipe(**change))
    assert not list(tmp_path.iterdir())


def test_folder_that_holds_something_else_stays(tmp_path):
    (tmp_path / "letters").write_text("dear")
    with pytest.raises(StoreError, match="something else"):
        make_nsd(tmp_path, SMALL)
    assert [item.name for item in tmp_path.iterdir()] == ["letters"]


def test_ceilings_found_in_the_files_are_those_planted(ordinary):
    for subject, n_sessions in ((1, 3), (2, 2)):
        layout = Layout(ordinary, subject)
        planted = pd.read_csv(ordinary / "planted" / f"{layout.name}_func1pt8mm.tsv", sep="\t")
        place = tuple(planted[["x", "y", "z"]].to_numpy().T)
        stored = np.asarray(nib.load(layout.betas / "ncsnr.nii.gz").dataobj)
        error = noise_ceiling(stored[place]) - planted["ceiling"]
        assert abs(np.median(error)) < 2
        assert np.median(np.abs(error)) < 2
        # the same from the responses as they are read
        files = open_betas(layout)
        mask = read_roi(layout, files.grid, "prf-visualrois").labels > 0
        values = np.concatenate([files.read(session, mask) for session in files.sessions])
        trials = read_design(layout.design).trials(subject, n_sessions)
        for half, name in ((None, "ncsnr"), (1, "ncsnr_split1"), (2, "ncsnr_split2")):
            found = signal_to_noise(zscored(values, trials.session), trials.place, half)
            kept = np.asarray(nib.load(layout.betas / f"{name}.nii.gz").dataobj)[mask]
            np.testing.assert_allclose(found, kept, rtol=1e-4)


def test_ratio_is_missing_outside_the_brain_and_near_zero_where_nothing_is_planted(ordinary):
    layout = Layout(ordinary, 1)
    ratio = np.asarray(nib.load(layout.betas / "ncsnr.nii.gz").dataobj)
    brain = np.asarray(nib.load(layout.volumes / "brainmask.nii.gz").dataobj) > 0
    assert np.isnan(ratio[~brain]).all()
    planted = pd.read_csv(ordinary / "planted" / "subj01_func1pt8mm.tsv", sep="\t")
    quiet = brain.copy()
    quiet[tuple(planted[["x", "y", "z"]].to_numpy().T)] = False
    assert np.nanmedian(ratio[quiet]) < 0.25


@pytest.mark.parametrize("space", list(SPACES))
def test_every_space_has_labels_and_a_table_of_what_is_planted(small, space):
    files = open_betas(Layout(small, 2, space))
    planted = pd.read_csv(small / "planted" / f"subj02_{space}.tsv", sep="\t")
    assert set(planted["code"]) == {"contrast", "luminance", "slope"}
    labels = read_roi(files.layout, files.grid, "Kastner2015" if space == "fsaverage" else "prf-visualrois")
    assert sum(labels.counts().values()) == len(planted)
    for name, count in labels.counts().items():
        assert count == (planted["region"] == name).sum()


def test_subjects_have_grids_of_their_own_and_native_hemispheres_differ(small):
    grids = {subject: open_betas(Layout(small, subject)).grid.shape for subject in (1, 2)}
    assert grids == {1: (9, 11, 10), 2: (10, 9, 11)}
    native = open_betas(Layout(small, 1, "nativesurface")).grid
    assert native.n_left != native.shape[0] - native.n_left
    assert open_betas(Layout(small, 1, "fsaverage")).grid == open_betas(Layout(small, 2, "fsaverage")).grid


def test_receptive_fields_lie_on_the_other_side_of_their_hemisphere(small):
    planted = pd.read_csv(small / "planted" / "subj01_nativesurface.tsv", sep="\t")
    assert (planted["field_x"][planted["hemisphere"] == 0] > 0).all()
    assert (planted["field_x"][planted["hemisphere"] == 1] < 0).all()


def test_receptive_field_is_a_gaussian_where_it_is_said_to_be():
    size, (x, y, sd) = 420, (1.5, -0.8, 0.5)
    weights = receptive_fields(np.array([[x, y, sd]]), size)[0]
    assert weights.sum() == pytest.approx(1)
    axis = ((np.arange(size) + 0.5) / size - 0.5) * WIDTH
    assert weights.sum(axis=0) @ axis == pytest.approx(x, abs=1e-3)
    # rows run downwards
    assert weights.sum(axis=1) @ -axis == pytest.approx(y, abs=1e-3)
    assert weights.sum(axis=0) @ (axis - x) ** 2 == pytest.approx(sd**2, rel=1e-3)


def test_image_depends_on_its_number_only():
    some = draw_images(3, np.array([5, 9]), 16)
    np.testing.assert_array_equal(draw_images(3, np.array([9]), 16)[0], some[1])
    assert np.abs(some[0].astype(int) - some[1]).max() > 0


def test_integers_are_cut_at_their_range_and_gaps_become_zero():
    found = to_integers([0.0, 1.0, -0.5, 200.0, -200.0, np.nan, 0.0016])
    assert found.tolist() == [0, 300, -150, 32767, -32768, 0, 0]
    assert found.dtype == np.int16


def test_left_comes_first_in_every_layout():
    position, right = layout_of_volume((4, 3, 2))
    assert position.shape == (24, 3)
    assert right.reshape(4, 3, 2)[:, 0, 0].tolist() == [False, False, True, True]
    position, right = layout_of_surface(50)
    np.testing.assert_allclose(np.linalg.norm(position, axis=1), 1)
    assert not right[:50].any()
    assert right[50:].all()


def test_what_was_made_can_be_made_again_and_nothing_else_is_replaced(tmp_path):
    root, recipe = tmp_path / "nsd", Recipe(sessions=(1,), image_size=16, shared=20, spaces=("func1pt8mm",))
    make_nsd(root, recipe)
    with pytest.raises(StoreError, match="something else"):
        make_nsd(root, recipe)
    make_nsd(root, Recipe(sessions=(1,), image_size=16, shared=30, spaces=("func1pt8mm",)), again=True)
    assert len(read_design(Layout(root, 1).design).shared) == 30
    (root / "planted" / "recipe.json").unlink()
    with pytest.raises(StoreError, match="something else"):
        make_nsd(root, recipe, again=True)
    assert len(read_design(Layout(root, 1).design).shared) == 30
