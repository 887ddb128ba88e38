import nibabel as nib
import numpy as np
import pytest

from igc.config import AtlasFiles
from igc.data.volumes import load_image, read_atlas, read_mask, read_volumes, repetition_time
from igc.errors import DataError, MissingFileError, ShapeError
from tests.data.series import AFFINE, SHAPE, save, signal

INSIDE = np.ones(SHAPE, bool)


@pytest.fixture
def bold(tmp_path):
    path = save(tmp_path / "bold.nii.gz", signal(0), seconds=2.0)
    return path, load_image(path, 4)


def labels(*values):
    atlas = np.zeros(SHAPE, np.float32)
    atlas.ravel()[: len(values)] = values
    return atlas


def test_atlas_keeps_sparse_codes_and_drops_negative_ones(tmp_path, bold):
    path = save(tmp_path / "atlas.nii.gz", labels(-1, 7.00001, 300, 7))
    found = read_atlas("visual", AtlasFiles(labels=path), INSIDE, *bold)
    assert found.values[:5].tolist() == [0, 7, 300, 7, 0]
    assert found.values.dtype == np.int32
    assert found.attributes["regions"]["300"] == {"name": "label 300", "color": None}


def test_atlas_takes_names_and_colours_of_the_table(tmp_path, bold):
    path = save(tmp_path / "atlas.nii.gz", labels(7, 300))
    (tmp_path / "lut.csv").write_text("index,name,color\n7,V1,red\n300,V2,\n5,elsewhere,blue\n")
    files = AtlasFiles(labels=path, table=str(tmp_path / "lut.csv"))
    regions = read_atlas("visual", files, INSIDE, *bold).attributes["regions"]
    assert regions == {"7": {"name": "V1", "color": "red"}, "300": {"name": "V2", "color": None}}


def test_label_without_a_name_is_refused(tmp_path, bold):
    path = save(tmp_path / "atlas.nii.gz", labels(7, 300))
    (tmp_path / "lut.tsv").write_text("index\tname\n7\tV1\n")
    with pytest.raises(DataError, match="no name for label 300 of atlas visual"):
        read_atlas("visual", AtlasFiles(labels=path, table=str(tmp_path / "lut.tsv")), INSIDE, *bold)


@pytest.mark.parametrize("values", [(0.5,), (np.nan,), (3e9,)])
def test_atlas_of_other_than_whole_numbers_is_refused(tmp_path, bold, values):
    path = save(tmp_path / "atlas.nii.gz", labels(*values))
    with pytest.raises(DataError, match="not whole numbers"):
        read_atlas("visual", AtlasFiles(labels=path), INSIDE, *bold)


def test_atlas_on_another_grid_is_refused(tmp_path, bold):
    shifted = AFFINE.copy()
    shifted[0, 3] += 1.5
    path = save(tmp_path / "atlas.nii.gz", labels(1), shifted)
    with pytest.raises(
        DataError, match=r"atlas\.nii\.gz: found another grid \(affines differ by up to 1\.5\).*resample"
    ):
        read_atlas("visual", AtlasFiles(labels=path), INSIDE, *bold)
    path = save(tmp_path / "atlas.nii.gz", np.ones((5, 4, 4), np.uint8))
    with pytest.raises(ShapeError, match=r"\(5, 4, 4\).*\(5, 4, 3\)"):
        read_atlas("visual", AtlasFiles(labels=path), INSIDE, *bold)


def test_rounding_of_an_affine_is_no_other_grid(tmp_path, bold):
    path = save(tmp_path / "atlas.nii.gz", labels(1), AFFINE + 1e-5)
    assert read_atlas("visual", AtlasFiles(labels=path), INSIDE, *bold).values[0] == 1


def test_atlas_without_labels_in_use_is_refused(tmp_path, bold):
    path = save(tmp_path / "atlas.nii.gz", labels(0, -2))
    with pytest.raises(DataError, match="no label above 0"):
        read_atlas("visual", AtlasFiles(labels=path), INSIDE, *bold)
    path = save(tmp_path / "atlas.nii.gz", labels(1))
    outside = INSIDE.copy()
    outside[0, 0, 0] = False
    with pytest.raises(DataError, match="no label inside the mask"):
        read_atlas("visual", AtlasFiles(labels=path), outside, *bold)


def test_mask_must_match_the_images_and_hold_a_voxel(tmp_path, bold):
    with pytest.raises(ShapeError, match=r"shape \(5, 4, 2\)"):
        read_mask(save(tmp_path / "mask.nii.gz", np.ones((5, 4, 2), np.uint8)), *bold)
    with pytest.raises(DataError, match="an empty mask"):
        read_mask(save(tmp_path / "mask.nii.gz", np.zeros(SHAPE, np.uint8)), *bold)
    four = save(tmp_path / "mask.nii.gz", np.ones((*SHAPE, 1), np.uint8))
    assert read_mask(four, *bold).all()


def test_number_of_axes_is_checked(tmp_path, bold):
    with pytest.raises(ShapeError, match="a 3-D image"):
        load_image(save(tmp_path / "one.nii.gz", signal(0)[..., 0]), 4)
    with pytest.raises(ShapeError, match="a 4-D image"):
        load_image(bold[0], 3)


def test_missing_damaged_and_truncated_images_are_refused(tmp_path, bold):
    with pytest.raises(MissingFileError, match="gone"):
        load_image(tmp_path / "gone.nii.gz", 3)
    (tmp_path / "text.nii.gz").write_text("not an image")
    with pytest.raises(DataError, match=r"text\.nii\.gz"):
        load_image(tmp_path / "text.nii.gz", 3)
    content = (tmp_path / "bold.nii.gz").read_bytes()
    (tmp_path / "short.nii.gz").write_bytes(content[: len(content) // 2])
    image = load_image(tmp_path / "short.nii.gz", 4)
    with pytest.raises(DataError, match="damaged voxels"):
        read_volumes("short.nii.gz", image, 0, image.shape[3])


def test_repetition_time_is_read_in_its_unit(tmp_path):
    for unit, value in (("sec", 2.0), ("msec", 2000.0), ("unknown", 2.0)):
        image = nib.Nifti1Image(signal(0), AFFINE)
        image.header.set_zooms((3, 3, 3.5, value))
        image.header.set_xyzt_units("mm", unit)
        assert repetition_time("bold", image) == pytest.approx(2.0)


def test_repetition_time_that_the_header_does_not_know_is_asked_for():
    for value in (0.0, 1.0):
        image = nib.Nifti1Image(signal(0), AFFINE)
        image.header.set_zooms((3, 3, 3.5, value))
        with pytest.raises(DataError, match=r"set data\.repetition_time"):
            repetition_time("bold", image)
