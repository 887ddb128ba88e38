import nibabel as nib
import numpy as np
import pytest

from igc.data.nsd.betas import Grid, open_betas
from igc.data.nsd.layout import Layout
from igc.data.nsd.rois import NAMES, read_color_table, read_roi, right_hemisphere
from igc.data.nsd.writing import write_color_table, write_mgh, write_nifti
from igc.errors import DataError, MissingFileError, ShapeError


def opened(root, subject, space):
    layout = Layout(root, subject, space)
    return layout, open_betas(layout).grid


def test_minus_one_is_no_region(small):
    layout, grid = opened(small, 1, "func1pt8mm")
    raw = np.asarray(nib.load(layout.volumes / "roi" / "nsdgeneral.nii.gz").dataobj)
    assert set(np.unique(raw)) == {-1, 0, 1}
    general = read_roi(layout, grid, "nsdgeneral")
    assert set(np.unique(general.labels)) == {0, 1}
    assert general.counts() == {"nsdgeneral": int((raw == 1).sum())}
    # the mistake of issue 1 of the data paper's repository would take in all of cortex
    assert (raw == 1).sum() < (raw != -1).sum()


@pytest.mark.parametrize("space", ["func1pt8mm", "func1mm", "nativesurface"])
def test_label_that_a_subject_lacks_counts_zero(small, space):
    for subject, some in ((1, True), (2, False)):
        layout, grid = opened(small, subject, space)
        visual, faces = read_roi(layout, grid, "prf-visualrois"), read_roi(layout, grid, "floc-faces")
        assert list(visual.counts()) == list(NAMES["prf-visualrois"])
        assert (visual.counts()["hV4"] > 0) == some
        assert (faces.counts()["OFA"] > 0) == some
        assert visual.counts()["V1v"] > 0


def test_hemispheres_of_a_volume_use_the_same_codes_and_make_up_the_whole(small):
    layout, grid = opened(small, 1, "func1pt8mm")
    both, lh, rh = (read_roi(layout, grid, "prf-visualrois", side).labels for side in (None, "lh", "rh"))
    assert not ((lh > 0) & (rh > 0)).any()
    np.testing.assert_array_equal(both, lh + rh)
    assert set(np.unique(lh)) == set(np.unique(rh)) == set(np.unique(both))


@pytest.mark.parametrize("space", ["func1pt8mm", "nativesurface"])
def test_regions_can_be_divided_by_hemisphere(small, space):
    layout, grid = opened(small, 1, space)
    right = right_hemisphere(layout, grid)
    whole = read_roi(layout, grid, "prf-visualrois")
    parts = whole.by_hemisphere(right)
    assert list(parts.counts())[:2] == ["lh V1v", "lh V1d"]
    assert list(parts.names) == list(range(1, 15))
    for name, count in whole.counts().items():
        assert parts.counts()[f"lh {name}"] + parts.counts()[f"rh {name}"] == count
    assert not right[parts.labels == 1].any()
    assert right[parts.labels == 8].all()
    if space == "func1pt8mm":
        # the first axis runs from left to right
        x = np.argwhere(right)[:, 0]
        assert x.min() >= (grid.shape[0] - 1) / 2


def test_sets_overlap(small):
    layout, grid = opened(small, 1, "func1pt8mm")
    faces, streams = read_roi(layout, grid, "floc-faces").labels, read_roi(layout, grid, "streams").labels
    assert ((faces > 0) & (streams > 0)).any()


def test_average_surface_takes_its_names_from_its_own_folder(small):
    layout, grid = opened(small, 2, "fsaverage")
    areas = read_roi(layout, grid, "Kastner2015")
    assert len(areas.names) == 25
    assert list(areas.names.values())[:7] == list(NAMES["prf-visualrois"])
    np.testing.assert_array_equal(areas.labels, read_roi(*opened(small, 1, "fsaverage"), "Kastner2015").labels)
    with pytest.raises(MissingFileError, match="prf-visualrois"):
        read_roi(layout, grid, "prf-visualrois")


def test_names_lose_their_trailing_tab(tmp_path):
    path = tmp_path / "a.ctab"
    path.write_text("0 Unknown\n1 OFA\n2 FFA-1\t\n3 FFA-2 255 0 0 0\n\n")
    assert read_color_table(path) == {1: "OFA", 2: "FFA-1", 3: "FFA-2"}
    path.write_text("0 Unknown\n1 OFA\n1 FFA-1\n")
    with pytest.raises(DataError, match="line 3: '1 FFA-1'"):
        read_color_table(path)


def test_generated_tables_end_in_a_tab(small):
    text = (Layout(small, 1, "nativesurface").labels / "floc-faces.mgz.ctab").read_text()
    assert text.startswith("0 Unknown\n1 OFA\n")
    assert text.endswith("aTL-faces\t\n")


def test_sets_have_as_many_labels_as_the_exporter_writes():
    counts = {name: len(names) for name, names in NAMES.items()}
    assert counts == {
        "prf-visualrois": 7,
        "prf-eccrois": 5,
        "floc-faces": 5,
        "floc-words": 5,
        "floc-places": 3,
        "floc-bodies": 4,
        "streams": 7,
        "nsdgeneral": 1,
        "Kastner2015": 25,
    }
    assert NAMES["streams"][4] == "ventral"


def write_volume(root, values, name="areas"):
    layout = Layout(root, 1)
    write_nifti(layout.volumes / "roi" / f"{name}.nii.gz", values, 1.8)
    return layout, Grid(values.shape)


def test_labels_stored_as_fractions_are_rounded_and_maps_refused(tmp_path):
    values = np.array([-1, 0, 1, 2.0003], dtype=np.float32).reshape(2, 2, 1)
    layout, grid = write_volume(tmp_path, values)
    areas = read_roi(layout, grid, "areas")
    assert areas.labels.ravel().tolist() == [0, 0, 1, 2]
    assert areas.names == {1: "label 1", 2: "label 2"}
    for wrong in (0.4, np.nan):
        write_volume(tmp_path, np.where(values == 1, np.float32(wrong), values))
        with pytest.raises(DataError, match="fractions or NaN"):
            read_roi(layout, grid, "areas")
    write_color_table(Layout(tmp_path, 1, "nativesurface").labels / "areas.mgz.ctab", ("one",))
    write_volume(tmp_path, values)
    with pytest.raises(DataError, match="label 2 without a name"):
        read_roi(layout, grid, "areas")


def test_vertices_may_lie_on_the_last_axis(tmp_path):
    layout = Layout(tmp_path, 1, "nativesurface")
    write_mgh(layout.labels / "lh.areas.mgz", np.array([0, 1, 1]))
    image = nib.freesurfer.mghformat.MGHImage(np.array([2, 0], dtype=np.float32).reshape(1, 1, 2), np.eye(4))
    nib.save(image, layout.labels / "rh.areas.mgz")
    assert read_roi(layout, Grid((5,), 3), "areas").labels.tolist() == [0, 1, 1, 2, 0]
    with pytest.raises(ShapeError, match="same subject and space"):
        read_roi(layout, Grid((5,), 2), "areas")


def test_a_set_that_is_not_there_is_told_with_those_that_are(small):
    layout = Layout(small, 1, "fsaverage")
    with pytest.raises(MissingFileError, match=r"Kastner2015, nsdgeneral, streams.*not on the average surface"):
        read_roi(layout, open_betas(layout).grid, "prf-visualrois")
    layout = Layout(small, 1, "nativesurface")
    with pytest.raises(MissingFileError, match="floc-bodies, floc-faces") as told:
        read_roi(layout, open_betas(layout).grid, "nothing")
    assert "average" not in str(told.value)
