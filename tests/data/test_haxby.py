from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from igc.config import Config, HaxbyData
from igc.data.haxby import open_haxby
from igc.data.splits import outer_folds
from igc.errors import MissingFileError
from igc.stats.exchange import exchange_units
from tests.data.series import LENGTH, SECONDS, categories, mask, save, signal

ROOT = Path(__file__).parents[2]


def read_all(**changes):
    with open_haxby(HaxbyData(kind="haxby", **changes), 0) as source:
        inputs, responses = source.read(np.arange(len(source.groups)))
        return source, inputs, responses


def accuracy(inputs, codes, folds):
    scores = []
    for fold in np.unique(folds):
        train = folds != fold
        scaler = StandardScaler().fit(inputs[train])
        model = LogisticRegression(C=0.01, max_iter=1000).fit(scaler.transform(inputs[train]), codes[train])
        scores.append(model.score(scaler.transform(inputs[~train]), codes[~train]))
    return np.mean(scores)


def test_embedded_slice_has_what_its_description_says():
    source, inputs, responses = read_all()
    assert inputs.shape == (864, 530)
    assert responses.sum(axis=0).tolist() == [108] * 8
    assert source.target_names == ["bottle", "cat", "chair", "face", "house", "scissors", "scrambledpix", "shoe"]
    assert np.bincount(source.groups).tolist() == [72] * 12
    assert source.group_names == [str(run) for run in range(12)]
    assert source.origin["licence"] == "CC BY-SA 3.0"
    assert source.origin["files"] == ["bold.nii.gz", "mask.nii.gz", "volumes.tsv"]


def test_categories_can_be_decoded_as_well_as_is_known():
    source, inputs, responses = read_all()
    codes = responses.argmax(axis=1)
    assert accuracy(inputs, codes, source.groups) == pytest.approx(0.657, abs=0.005)
    # labels moved by two volumes decode far worse: they are already shifted
    assert accuracy(inputs[2:], codes[:-2], source.groups[2:]) < 0.55


def test_six_folds_decode_above_three_fifths():
    source, inputs, responses = read_all()
    assert accuracy(inputs, responses.argmax(axis=1), outer_folds(source.groups, 6, seed=0)) >= 0.6


def test_blocks_are_one_a_category_and_run():
    source, inputs, responses = read_all(average="block")
    assert inputs.shape == (96, 530)
    assert responses.sum(axis=0).tolist() == [12] * 8
    assert np.bincount(source.groups).tolist() == [8] * 12


@pytest.mark.parametrize(("average", "size"), [("volume", 9), ("block", 1)])
def test_units_to_exchange_are_the_blocks_of_a_category_in_a_run(average, size):
    source, _, responses = read_all(average=average)
    assert np.bincount(source.blocks).tolist() == [size] * 96
    for block in range(96):
        inside = source.blocks == block
        assert len(np.unique(source.groups[inside])) == len(np.unique(responses[inside], axis=0)) == 1
        assert (np.diff(source.sample_ids[inside]) == 1).all()
    for run in range(12):
        exchange = exchange_units(8 * size, exchange=source.blocks[source.groups == run])
        assert np.exp(exchange.log_arrangements) == pytest.approx(40320)


@pytest.fixture
def as_nilearn_lays_it_out(tmp_path):
    folder = tmp_path / "haxby2001" / "subj3"
    folder.mkdir(parents=True)
    save(folder / "bold.nii.gz", np.concatenate([signal(0), signal(1)], axis=3), seconds=SECONDS)
    rows = [f"{kind} {run}" for run in range(2) for kind in categories()]
    (folder / "labels.txt").write_text("\n".join(["labels chunks", *rows]) + "\n")
    whole = mask()
    save(tmp_path / "haxby2001" / "mask.nii.gz", whole)
    for count, name in ((5, "mask4_vt"), (4, "mask8_face_vt"), (3, "mask8_house_vt")):
        part = np.zeros_like(whole)
        part[tuple(np.argwhere(whole)[:count].T)] = 1
        save(folder / f"{name}.nii.gz", part)
    return tmp_path


@pytest.mark.parametrize(("name", "voxels"), [("whole", 23), ("vt", 5), ("face", 4), ("house", 3)])
@pytest.mark.parametrize("below", ["", "haxby2001", "haxby2001/subj3"])
def test_folder_of_nilearn_is_read_from_any_of_its_levels(as_nilearn_lays_it_out, name, voxels, below):
    source, inputs, _ = read_all(source=str(as_nilearn_lays_it_out / below), subject=3, mask=name)
    assert inputs.shape == (2 * LENGTH // 2, voxels)
    assert source.target_names == ["cat", "face", "house"]
    assert source.group_names == ["0", "1"]


def test_nothing_is_downloaded_without_being_asked(tmp_path):
    with pytest.raises(MissingFileError, match="run `igc fetch` first"):
        read_all(source="download", download_folder=str(tmp_path))
    with pytest.raises(MissingFileError, match=r"subj1/bold\.nii\.gz.*check data\.source"):
        read_all(source=str(tmp_path))


def test_missing_mask_is_named(as_nilearn_lays_it_out):
    (as_nilearn_lays_it_out / "haxby2001/subj3/mask4_vt.nii.gz").unlink()
    with pytest.raises(MissingFileError, match="mask4_vt"):
        read_all(source=str(as_nilearn_lays_it_out), subject=3)


def test_a_run_without_labels_is_left_out(as_nilearn_lays_it_out):
    labels = as_nilearn_lays_it_out / "haxby2001/subj3/labels.txt"
    lines = labels.read_text().splitlines()
    # as in one run of subject 5: all volumes are called rest
    silent = [f"rest {line.split()[1]}" if line.endswith(" 1") else line for line in lines]
    labels.write_text("\n".join(silent) + "\n")
    source, inputs, _ = read_all(source=str(as_nilearn_lays_it_out), subject=3)
    assert source.group_names == ["0"]
    assert len(inputs) == LENGTH // 2


def test_the_configuration_of_the_full_dataset_names_every_subject_once():
    content = yaml.safe_load((ROOT / "config" / "haxby.yaml").read_text(encoding="utf-8"))
    studies = Config.model_validate(content).studies
    assert sorted(study.data.subject for study in studies.values()) == [1, 2, 3, 4, 5, 6]
    assert {study.split.folds for study in studies.values() if study.data.subject != 5} == {12}
    assert all(f"subject {study.data.subject}" in study.title for study in studies.values())
