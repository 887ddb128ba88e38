"""What made files must share with the public dataset because reading relies on it, beside the other tests here."""

import re
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest

from igc.data.nsd.betas import SCALE, open_betas
from igc.data.nsd.files import read_surface
from igc.data.nsd.layout import BETAS, HEMISPHERES, SESSIONS, SPACES, TRIALS, Layout
from igc.data.nsd.rois import NAMES, read_roi
from igc.data.nsd.stimuli import open_stimuli

ROOT = Path(__file__).parents[3]
MAPS = ("ncsnr", "ncsnr_split1", "ncsnr_split2")


def test_every_test_that_the_page_of_numbers_names_is_there():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "nsd.md").read_text(encoding="utf-8")))
    files = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    there = set(re.findall(r"^def (test_\w+)", "\n".join(files), re.MULTILINE))
    assert len(named) > 35
    assert sorted(named - there) == []


def test_a_session_has_750_trials_in_twelve_runs():
    assert TRIALS == 750 == 6 * 63 + 6 * 62


def test_subjects_versions_and_spaces_are_those_of_the_public_release():
    assert list(SESSIONS.values()) == [40, 40, 32, 30, 40, 32, 40, 30]
    assert BETAS == {"b1": "betas_assumehrf", "b2": "betas_fithrf", "b3": "betas_fithrf_GLMdenoise_RR"}
    assert SPACES == {"func1pt8mm": 1.8, "func1mm": 1.0, "nativesurface": None, "fsaverage": None}
    assert HEMISPHERES == ("lh", "rh")


@pytest.mark.parametrize("subject", [1, 2])
def test_responses_lie_where_the_manual_says(small, subject):
    folder = small / f"nsddata_betas/ppdata/subj0{subject}"
    for space, names in {
        "func1pt8mm": ("betas_session01.hdf5", "betas_session01.nii.gz"),
        "nativesurface": ("lh.betas_session01.hdf5", "rh.betas_session01.hdf5"),
        "fsaverage": ("lh.betas_session01.mgh", "rh.betas_session01.mgh"),
    }.items():
        for name in names:
            assert (folder / space / "betas_fithrf_GLMdenoise_RR" / name).is_file()
    assert (small / f"nsddata/ppdata/subj0{subject}/behav/responses.tsv").is_file()
    assert (small / f"nsddata/ppdata/subj0{subject}/func1pt8mm/roi/lh.prf-visualrois.nii.gz").is_file()
    assert (small / f"nsddata/freesurfer/subj0{subject}/label/rh.floc-faces.mgz").is_file()
    assert (small / "nsddata/freesurfer/fsaverage/label/lh.Kastner2015.mgz").is_file()
    assert (small / "nsddata/experiments/nsd/nsd_stim_info_merged.csv").is_file()
    assert (small / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5").is_file()


def test_integers_hold_up_to_109_percent_and_a_step_is_a_300th(small):
    limits = np.iinfo(np.int16)
    assert (limits.min / SCALE, limits.max / SCALE) == pytest.approx((-109.23, 109.22), abs=0.01)
    files = open_betas(Layout(small, 1))
    values = files.read(1, np.ones(files.grid.shape, dtype=bool))
    steps = values[np.isfinite(values)].astype(np.float64) * 300
    np.testing.assert_allclose(steps, np.rint(steps), atol=0.01)
    # those of the average surface are no multiples of it
    files = open_betas(Layout(small, 1, "fsaverage"))
    values = files.read(1, np.ones(files.grid.shape, dtype=bool))
    steps = values[np.isfinite(values)].astype(np.float64) * 300
    assert np.abs(steps - np.rint(steps)).max() > 0.4


def test_native_surfaces_are_integers_in_which_what_is_missing_became_zero(small):
    layout = Layout(small, 1, "nativesurface")
    gaps = 0
    for side in HEMISPHERES:
        with h5py.File(layout.betas / f"{side}.betas_session02.hdf5") as file:
            assert file["betas"].dtype == np.int16
            gaps += int((~file["betas"][:].any(axis=0)).sum())
    files = open_betas(layout)
    values = files.read(2, np.ones(files.grid.shape, dtype=bool))
    assert np.isnan(values).all(axis=0).sum() == gaps > 0
    assert np.isnan(values).any(axis=0).sum() == gaps


@pytest.mark.parametrize("space", list(SPACES))
def test_signal_to_noise_is_one_number_a_component_and_missing_where_no_session_has_any(small, space):
    layout = Layout(small, 1, space)
    files = open_betas(layout)
    everything = np.ones(files.grid.shape, dtype=bool)
    gone = np.all([np.isnan(files.read(session, everything)).all(axis=0) for session in (1, 2)], axis=0)
    for name in MAPS:
        if layout.is_surface:
            images = [nib.load(layout.betas / f"{side}.{name}.mgh") for side in HEMISPHERES]
            assert all(image.shape[1:] == (1, 1) for image in images)
            values, _ = read_surface(*(layout.betas / f"{side}.{name}.mgh" for side in HEMISPHERES))
        else:
            image = nib.load(layout.betas / f"{name}.nii.gz")
            assert image.shape == files.grid.shape
            values = np.asarray(image.dataobj).ravel()
        assert np.issubdtype(values.dtype, np.floating)
        np.testing.assert_array_equal(np.isnan(values), gone)


@pytest.mark.parametrize("space", ["nativesurface", "fsaverage"])
def test_surface_labels_have_two_short_axes_and_nothing_below_zero(small, space):
    layout = Layout(small, 1, space)
    for name in ("nsdgeneral", "streams"):
        for side in HEMISPHERES:
            image = nib.load(layout.labels / f"{side}.{name}.mgz")
            assert image.shape[1:] == (1, 1)
            assert np.asarray(image.dataobj).min() == 0


def test_images_are_bytes_red_green_blue_under_the_name_of_the_manual(small):
    stimuli = open_stimuli(Layout(small, 1).stimuli)
    with h5py.File(stimuli.path) as file:
        assert list(file) == ["imgBrick"]
        assert file["imgBrick"].dtype == np.uint8
        assert file["imgBrick"].shape == (stimuli.shape[0], 24, 24, 3)


def test_labels_have_the_names_of_the_exporter_in_its_order():
    areas = ["V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"]
    assert list(NAMES["prf-visualrois"]) == areas
    assert list(NAMES["prf-eccrois"]) == ["ecc0pt5", "ecc1", "ecc2", "ecc4", "ecc4+"]
    assert list(NAMES["floc-faces"]) == ["OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"]
    assert list(NAMES["floc-words"]) == ["OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"]
    assert list(NAMES["floc-places"]) == ["OPA", "PPA", "RSC"]
    assert list(NAMES["floc-bodies"]) == ["EBA", "FBA-1", "FBA-2", "mTL-bodies"]
    assert list(NAMES["streams"]) == [
        "early",
        "midventral",
        "midlateral",
        "midparietal",
        "ventral",
        "lateral",
        "parietal",
    ]
    assert list(NAMES["Kastner2015"][:7]) == areas


def test_volumes_and_tables_name_the_same_codes(small):
    layout = Layout(small, 1)
    grid = open_betas(layout).grid
    for name in ("prf-visualrois", "floc-faces", "streams", "nsdgeneral"):
        labels = read_roi(layout, grid, name)
        assert list(labels.names.values()) == list(NAMES[name])
        assert list(labels.names) == list(range(1, len(NAMES[name]) + 1))
