import shutil
from pathlib import Path

import numpy as np
import pytest

from igc.config import NsdData
from igc.data.nsd.layout import Layout
from igc.data.nsd.source import open_nsd
from igc.data.nsd.wanted import chosen_keys, wanted_folders
from igc.errors import FetchError
from tests.data.nsd.recording import opened_below

AREAS = {"areas": "prf-visualrois", "streams": "streams"}
STUDIES = {
    "decoding": {"atlases": AREAS},
    "no atlases": {},
    "one session": {"atlases": AREAS, "sessions": 1},
    "hemispheres": {"atlases": AREAS, "divide_hemispheres": True},
    "encoding": {"predict": "responses", "atlases": {"faces": "floc-faces"}, "mask": "prf-visualrois"},
    "millimetre": {"space": "func1mm", "subject": 2},
    "native": {"space": "nativesurface", "atlases": AREAS, "divide_hemispheres": True},
    "native encoding": {"space": "nativesurface", "predict": "responses", "mask": "prf-visualrois", "atlases": AREAS},
    "average": {"space": "fsaverage", "atlases": {"areas": "Kastner2015"}, "subject": 2},
    "special": {"test": "special515", "sessions": 1},
}


def settings(root, **changes):
    return NsdData(**{"kind": "nsd", "folder": str(root), **changes})


def files_below(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def read_all(data):
    with open_nsd(data, 0) as source:
        return source.read(np.arange(len(source.groups))), sorted(source.variables)


def with_color_tables(root: Path) -> Path:
    """Put the tables of names where the public dataset has some of them: with the average only."""
    own, average = Layout(root, 1).color_tables("streams")
    average.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(own, average)
    return root


@pytest.fixture(scope="module")
def bucket(small, tmp_path_factory):
    root = tmp_path_factory.mktemp("bucket") / "nsd"
    # what is planted in made files is not part of the dataset
    shutil.copytree(small, root, ignore=shutil.ignore_patterns("planted"))
    return with_color_tables(root)


@pytest.mark.parametrize("name", STUDIES)
def test_what_is_fetched_is_exactly_what_is_opened_and_enough(bucket, tmp_path, name):
    available = files_below(bucket)
    data = settings(bucket, **STUDIES[name])
    listed = {key for key in available if f"{Path(key).parent}/" in wanted_folders(data)}
    keys = chosen_keys(data, listed)
    assert len(keys) == len(set(keys))
    assert set(keys) == set(chosen_keys(data, available))
    for key in keys:
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bucket / key, tmp_path / key)
    with opened_below(tmp_path) as opened:
        (inputs, responses), variables = read_all(settings(tmp_path, **STUDIES[name]))
    assert opened == set(keys)
    # the same samples as from the whole dataset
    (all_inputs, all_responses), all_variables = read_all(data)
    np.testing.assert_array_equal(inputs, all_inputs)
    np.testing.assert_array_equal(responses, all_responses)
    assert variables == all_variables


def test_nothing_of_other_subjects_spaces_and_versions_is_fetched(bucket):
    keys = chosen_keys(settings(bucket, atlases=AREAS), files_below(bucket))
    assert not [key for key in keys if "subj02" in key or "func1mm" in key or "surface" in key or ".nii.gz" in key[:50]]
    betas = [key for key in keys if "betas_session" in key]
    folder = "nsddata_betas/ppdata/subj01/func1pt8mm/betas_fithrf_GLMdenoise_RR"
    assert betas == [f"{folder}/betas_session0{i}.hdf5" for i in (1, 2)]


def test_where_there_is_no_hdf5_the_images_are_taken(bucket):
    available = {key for key in files_below(bucket) if "betas_session" not in key or key.endswith(".nii.gz")}
    keys = chosen_keys(settings(bucket), available)
    assert [key[-22:] for key in keys if "betas_session" in key] == [f"betas_session0{i}.nii.gz" for i in (1, 2)]


def test_what_the_bucket_lacks_is_named(bucket):
    available = files_below(bucket)
    with pytest.raises(FetchError, match=r"prf-eccrois\.nii\.gz.*no such file in the bucket"):
        chosen_keys(settings(bucket, mask="prf-eccrois"), available)
    with pytest.raises(FetchError, match=r"betas_assumehrf.*not every space exists in every version"):
        chosen_keys(settings(bucket, version="b1"), available)
    without = {key for key in available if "T1_to" not in key}
    assert any(key.endswith("func1pt8mm/mean.nii.gz") for key in chosen_keys(settings(bucket), without))
