import gzip
import struct

import h5py
import nibabel as nib
import numpy as np
import pytest

from igc.data.nsd.betas import open_betas
from igc.data.nsd.files import open_mgh
from igc.data.nsd.layout import SPACES, TRIALS, Layout
from igc.data.nsd.writing import write_hdf5, write_mgh, write_nifti
from igc.errors import DataError, MissingFileError, ShapeError


def everything(files):
    return np.ones(files.grid.shape, dtype=bool)


def scattered(files, seed=0):
    return np.random.default_rng(seed).random(files.grid.shape) < 0.3


@pytest.mark.parametrize("space", ["func1pt8mm", "func1mm"])
def test_hdf5_and_nifti_routes_give_the_same_numbers(small, space):
    layout = Layout(small, 1, space)
    hdf5, nifti = open_betas(layout, "hdf5"), open_betas(layout, "nii.gz")
    assert hdf5.grid == nifti.grid
    for mask in (everything(hdf5), scattered(hdf5)):
        np.testing.assert_array_equal(hdf5.read(2, mask), nifti.read(2, mask))
    assert open_betas(layout).form == "hdf5"


def test_nifti_files_are_what_the_formats_say(small):
    layout = Layout(small, 1)
    image = nib.load(layout.betas / "betas_session01.nii.gz")
    assert image.shape == (9, 11, 10, TRIALS)
    assert image.get_data_dtype() == np.int16
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    np.testing.assert_allclose(image.header.get_zooms(), (1.8, 1.8, 1.8, 4 / 3), rtol=1e-6)
    np.testing.assert_allclose(image.affine[:3, 3], [-(n - 1) / 2 * 1.8 for n in (9, 11, 10)])
    # the header does not rescale
    assert image.header.get_slope_inter() in {(None, None), (1.0, 0.0)}
    zooms = nib.load(Layout(small, 1, "func1mm").betas / "betas_session01.nii.gz").header.get_zooms()
    np.testing.assert_allclose(zooms, (1, 1, 1, 1))


def test_hdf5_files_are_what_the_formats_say(small):
    with h5py.File(Layout(small, 1).betas / "betas_session01.hdf5") as file:
        assert file["betas"].shape == (TRIALS, 10, 11, 9)
        assert file["betas"].chunks == (TRIALS, 1, 1, 1)
        assert file["betas"].dtype == np.int16
        assert file["betas"].compression is None
    with h5py.File(Layout(small, 2, "nativesurface").betas / "rh.betas_session01.hdf5") as file:
        assert file["betas"].shape[0] == TRIALS
        assert file["betas"].chunks == (TRIALS, 1)


def test_mgh_files_are_what_the_formats_say(small):
    image = nib.load(Layout(small, 1, "fsaverage").betas / "lh.betas_session01.mgh")
    assert image.shape == (110, 1, 1, TRIALS)
    assert image.get_data_dtype() == np.dtype(">f4")


def test_voxels_come_in_the_order_of_their_positions_whatever_the_file(small):
    layout = Layout(small, 1)
    stored = nib.load(layout.betas / "betas_session01.nii.gz").dataobj
    files = open_betas(layout)
    mask = scattered(files)
    index = files.grid.index(mask)
    np.testing.assert_array_equal(index, np.argwhere(mask))
    values = files.read(1, mask)
    for column in range(0, len(index), 17):
        x, y, z = index[column]
        raw = np.asarray(stored[x, y, z], dtype=np.float64)
        if raw.any():
            np.testing.assert_allclose(values[:, column], raw / 300, rtol=1e-6)
        else:
            assert np.isnan(values[:, column]).all()


def test_vertices_come_left_hemisphere_first(small):
    layout = Layout(small, 1, "nativesurface")
    files = open_betas(layout)
    with (
        h5py.File(layout.betas / "lh.betas_session01.hdf5") as lh,
        h5py.File(layout.betas / "rh.betas_session01.hdf5") as rh,
    ):
        raw = np.concatenate([lh["betas"][:], rh["betas"][:]], axis=1)
        n_left = lh["betas"].shape[1]
    assert files.grid.n_left == n_left
    mask = scattered(files)
    expected = raw[:, mask] / np.float32(300)
    expected[:, ~raw[:, mask].any(axis=0)] = np.nan
    np.testing.assert_array_equal(files.read(1, mask), expected.astype(np.float32))
    index = files.grid.index(mask)
    assert index[index[:, 0] == 0, 1].max() < n_left
    np.testing.assert_array_equal(index[:, 1] + n_left * index[:, 0], np.flatnonzero(mask))


def test_average_surface_is_in_percent_already_and_keeps_its_gaps(small):
    layout = Layout(small, 1, "fsaverage")
    files = open_betas(layout)
    values = files.read(2, everything(files))
    raw = np.concatenate([open_mgh(layout.betas / f"{h}.betas_session02.mgh", TRIALS) for h in ("lh", "rh")])
    np.testing.assert_array_equal(values, raw.T)
    assert np.isnan(values).all(axis=0).sum() == 1
    assert 0.5 < np.nanstd(values) < 5


@pytest.mark.parametrize("space", list(SPACES))
def test_responses_of_all_spaces_have_the_scale_of_percent(small, space):
    files = open_betas(Layout(small, 2, space))
    assert 0.5 < np.nanstd(files.read(1, everything(files))) < 5


@pytest.mark.parametrize("space", list(SPACES))
def test_component_that_is_missing_in_one_session_only_is_missing_there_only(small, space):
    files = open_betas(Layout(small, 1, space))
    gaps = [np.isnan(files.read(session, everything(files))).all(axis=0) for session in (1, 2)]
    assert (gaps[1] & ~gaps[0]).sum() == 1
    assert not (gaps[0] & ~gaps[1]).any()


def volume(tmp_path, values, **changes):
    layout = Layout(tmp_path, 1)
    write_hdf5(layout.betas / "betas_session01.hdf5", values, **changes)
    return layout


def test_integers_are_divided_by_300_and_a_single_zero_is_a_response(tmp_path):
    values = np.zeros((2, 3, 4, TRIALS), dtype=np.int16)
    values[1, 2, 3] = np.arange(TRIALS) - 300
    values[0, 0, 0, 5] = 32767
    values[0, 0, 0, 6] = -32768
    files = open_betas(volume(tmp_path, values))
    read = files.read(1, everything(files))
    assert files.grid.shape == (2, 3, 4)
    np.testing.assert_allclose(read[:, -1], (np.arange(TRIALS) - 300) / 300, rtol=1e-6)
    assert read[300, -1] == 0
    # the range of the integers, at which clipped responses lie
    np.testing.assert_allclose(read[5:7, 0], [109.22333, -109.22667], rtol=1e-6)
    assert np.isnan(read[:, 1:-1]).all()


def test_scale_in_the_header_of_another_copy_changes_nothing(tmp_path):
    values = np.random.default_rng(1).integers(-900, 900, (3, 2, 2, TRIALS)).astype(np.int16)
    layout = Layout(tmp_path, 1)
    path = layout.betas / "betas_session01.nii.gz"
    write_nifti(path, values, 1.8, 4 / 3)
    content = bytearray(gzip.decompress(path.read_bytes()))
    # scl_slope of NIfTI-1
    content[112:116] = struct.pack("<f", 1 / 300)
    path.write_bytes(gzip.compress(bytes(content)))
    np.testing.assert_allclose(nib.load(path).dataobj[0, 0, 0], values[0, 0, 0] / 300, rtol=1e-6)
    files = open_betas(layout)
    np.testing.assert_allclose(files.read(1, everything(files)), values.reshape(-1, TRIALS).T / 300, rtol=1e-6)


def test_only_the_box_around_the_mask_is_read(small, monkeypatch):
    layout = Layout(small, 1)
    files = open_betas(layout)
    mask = np.zeros(files.grid.shape, dtype=bool)
    mask[4:6, 2:5, 3:5] = mask[5, 9, 7] = True
    sizes = []
    original = h5py.Dataset.__getitem__

    def counted(self, key, *rest):
        block = original(self, key, *rest)
        sizes.append(block.shape)
        return block

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
    values = files.read(1, mask)
    # slab by slab, and each with all trials: the chunks of the file
    assert sizes == [(TRIALS, 3, 2), (TRIALS, 3, 2), (TRIALS, 1, 1)]
    monkeypatch.undo()
    whole = files.read(1, everything(files))
    np.testing.assert_array_equal(values, whole[:, mask.ravel()])


def test_files_of_another_length_type_or_shape_are_refused(tmp_path):
    short = np.zeros((2, 2, 2, 10), dtype=np.int16)
    files = open_betas(volume(tmp_path / "a", short))
    with pytest.raises(ShapeError, match=r"\(10, 2, 2, 2\).*\(750, 2, 2, 2\)"):
        files.read(1, everything(files))
    files = open_betas(volume(tmp_path / "b", np.zeros((2, 2, 2, TRIALS), dtype=np.float32)))
    with pytest.raises(DataError, match=r"float32.*int16"):
        files.read(1, everything(files))
    with pytest.raises(ShapeError, match="mask of shape"):
        files.read(1, np.ones((3, 2, 2), dtype=bool))
    layout = Layout(tmp_path / "c", 1, "fsaverage")
    for side in ("lh", "rh"):
        write_mgh(layout.betas / f"{side}.betas_session01.mgh", np.zeros((5, 12), dtype=np.float32))
    with pytest.raises(ShapeError, match=r"\(5, 1, 1, 12\)"):
        open_betas(layout)


def test_missing_and_incomplete_folders_are_named(small, tmp_path):
    with pytest.raises(MissingFileError, match="not every space exists in every version"):
        open_betas(Layout(small, 1, "func1pt8mm", "b1"))
    with pytest.raises(DataError, match="'mgh'"):
        open_betas(Layout(small, 1), "mgh")
    layout = volume(tmp_path, np.zeros((2, 2, 2, TRIALS), dtype=np.int16))
    write_hdf5(layout.betas / "betas_session03.hdf5", np.zeros((2, 2, 2, TRIALS), dtype=np.int16))
    with pytest.raises(DataError, match="no session 2"):
        open_betas(layout)
    (layout.betas / "betas_session03.hdf5").unlink()
    (layout.betas / "betas_session01.hdf5").write_bytes(b"not HDF5")
    with pytest.raises(DataError, match="unreadable"):
        open_betas(layout)


def test_truncated_image_is_refused(small, tmp_path):
    original = Layout(small, 1).betas / "betas_session01.nii.gz"
    layout = Layout(tmp_path, 1)
    layout.betas.mkdir(parents=True)
    content = original.read_bytes()
    (layout.betas / original.name).write_bytes(content[: len(content) // 2])
    files = open_betas(layout)
    with pytest.raises(DataError, match="damaged"):
        files.read(1, everything(files))
