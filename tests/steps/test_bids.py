import json
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from igc.errors import DataError, MissingFileError, StoreError
from igc.report.bids_names import Place, file_name, labels_of
from igc.roi.sets import from_labels, save_rois
from igc.steps.bids import bids
from igc.store.arrays import create_store
from igc.store.atomic import write_table
from igc.store.results import save_result
from tests.report import studies

VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")
TARGETS, SHAPE, COUNTS = ["mean face", "house"], (5, 4, 3), (30, 25)
AFFINE = [[-2.0, 0, 0, 9], [0, 3, 0, -4], [0, 0, 2.5, 1], [0, 0, 0, 1]]
SETTINGS = {"kind": "nsd", "subject": 2, "space": "fsaverage", "version": "b3"}


def write_study(home: Path, surface: bool, settings: dict) -> dict:
    """Write samples, two results with their tables, and a ROI set; return the arguments of the step."""
    random = np.random.default_rng(0)
    whole = np.arange(sum(COUNTS)) if surface else np.arange(np.prod(SHAPE))
    chosen = np.sort(random.choice(whole, 20, replace=False))
    with create_store(home / "samples.zarr") as store:
        store.put("inputs", ("sample", "voxel"), random.normal(size=(6, 20)).astype(np.float32))
        store.put("responses", ("sample", "target"), random.normal(size=(6, 2)).astype(np.float32))
        for name in ("fold", "group", "sample_id"):
            store.put(name, ("sample",), np.arange(6) if name == "sample_id" else np.zeros(6, dtype=int))
        if surface:
            right = (chosen >= COUNTS[0]).astype(int)
            store.put("vertex_index", ("voxel", "axis"), np.stack([right, chosen - right * COUNTS[0]], axis=1))
        else:
            index = np.stack(np.unravel_index(chosen, SHAPE), axis=1)
            store.put("voxel_index", ("voxel", "axis"), index.astype(np.int32))
            store.put("background", ("x", "y", "z"), np.ones(SHAPE, dtype=np.float32))
        place = {"hemisphere_vertices": list(COUNTS)} if surface else {"affine": AFFINE, "volume_shape": list(SHAPE)}
        source = {"settings": settings, "files": ["a.nii.gz"], "citation": "Somebody (2001)"}
        store.set_attributes(
            {
                "study": "my study",
                "title": "A study",
                "kind": "vector" if surface else "volume",
                "folds": 1,
                "target_names": TARGETS,
                "target_type": "values",
                "group_names": ["0"],
                "source": source,
                **place,
            }
        )
    labels = random.integers(0, 3, 20)
    rois = {"areas-1": from_labels("areas-1", labels, {1: {"name": "V1", "color": "#ff0000"}, 2: "hV4"})}
    save_rois(rois, home / "rois.zarr")
    maps = {method: random.normal(size=(2, 20)) for method in ("igc", "linear_igc")}
    for method, values in maps.items():
        result = studies.make_result(values, TARGETS, method, "mlp-seed0")
        result.attrs |= {"seed": 0, "igc_version": "1.2"}
        save_result(result, home / "a/mlp-seed0" / f"{method}.zarr")
        table = pd.DataFrame({"set": "areas-1", "roi": ["V1", "hV4", "rest"], "attribution": [0.25, -1e-12, np.nan]})
        (home / "rois/mlp-seed0").mkdir(parents=True, exist_ok=True)
        write_table(home / "rois/mlp-seed0" / f"{method}.tsv", table)
    arguments = {
        "samples": home / "samples.zarr",
        "rois": home / "rois.zarr",
        "attributions": [home / "a/mlp-seed0" / f"{method}.zarr" for method in maps],
        "tables": home / "rois",
        "version": "1.2",
    }
    return {"arguments": arguments, "maps": maps, "labels": labels, "chosen": chosen}


def names_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def complaints(folder: Path) -> dict[str, list[str]]:
    """Return the errors that the validator of the standard reports, by their code."""
    result = subprocess.run([VALIDATOR, "--format", "json", folder], capture_output=True, text=True, timeout=100)
    issues = json.loads(result.stdout)["issues"]["issues"]
    found: dict[str, list[str]] = {}
    for issue in issues:
        if issue["severity"] == "error":
            found.setdefault(issue["code"], []).append(issue["location"])
    return found


@pytest.fixture(scope="module", params=["volume", "surface"])
def study(request, tmp_path_factory):
    home = tmp_path_factory.mktemp(request.param)
    surface = request.param == "surface"
    settings = SETTINGS if surface else {"kind": "nifti", "images": ["x/sub-07_task-rest_run-1_bold.nii.gz"]}
    made = write_study(home, surface, settings)
    bids(**made["arguments"], output=home / "derivatives/igc")
    return made | {"folder": home / "derivatives/igc", "surface": surface}


def test_validator_of_the_standard_accepts_the_export_and_needs_the_list_of_exceptions(study):
    folder = study["folder"]
    assert complaints(folder) == {}
    ignored = folder / ".bidsignore"
    lines = ignored.read_text()
    ignored.unlink()
    try:
        found = complaints(folder)
    finally:
        ignored.write_text(lines)
    # nothing but what the standard has no name for is left to exceptions
    assert set(found) == {"NOT_INCLUDED"}
    assert all(re.search(r"_(statmap|roi)\.", name) for name in found["NOT_INCLUDED"])


def test_maps_come_back_where_they_belong(study):
    folder, place = study["folder"] / "sub-07/func", "sub-07_task-rest"
    if study["surface"]:
        folder, place = study["folder"] / "sub-02/func", "sub-02_task-nsdcore"
    for method, label in (("igc", "igc"), ("linear_igc", "linearIgc")):
        for number, target in enumerate(("meanFace", "house")):
            end = f"contrast-{target}_desc-mlpSeed0_stat-{label}_statmap"
            expected = study["maps"][method][number].astype(np.float32)
            if study["surface"]:
                files = [folder / f"{place}_hemi-{side}_space-fsaverage_{end}.shape.gii" for side in "LR"]
                parts = [nib.load(file).darrays[0].data for file in files]
                assert [len(part) for part in parts] == list(COUNTS)
                values = np.concatenate(parts)
                described = json.loads(files[0].with_name(f"{files[0].name.split('.')[0]}.json").read_text())
            else:
                image = nib.load(folder / f"{place}_{end}.nii.gz")
                np.testing.assert_allclose(image.affine, AFFINE)
                values = image.get_fdata().ravel()
                described = json.loads((folder / f"{place}_{end}.json").read_text())
            np.testing.assert_array_equal(values[study["chosen"]], expected)
            assert np.count_nonzero(values) == 20
            assert described["Target"] == TARGETS[number]
            assert described["Method"] == method
            assert described["Model"] == "mlp-seed0"
            assert described["Sum"] == pytest.approx(study["maps"][method][number].sum())
            assert {"Score", "Seed", "SoftwareVersion", "Sources", "SpatialReference", "Data"} <= set(described)


def test_regions_and_their_names_come_back(study):
    folder = study["folder"]
    if study["surface"]:
        files = [folder / f"sub-02/anat/sub-02_hemi-{s}_space-fsaverage_seg-areas1_dseg.label.gii" for s in "LR"]
        images = [nib.load(file) for file in files]
        values = np.concatenate([image.darrays[0].data for image in images])
        assert images[1].labeltable.get_labels_as_dict() == {0: "rest", 1: "V1", 2: "hV4"}
        colors = {label.key: label.rgba for label in images[0].labeltable.labels}
        assert colors[1] == (1.0, 0.0, 0.0, 1.0)
        table = pd.read_csv(folder / "sub-02/anat/sub-02_space-fsaverage_seg-areas1_dseg.tsv", sep="\t")
    else:
        stem = folder / "sub-07/func/sub-07_task-rest_seg-areas1_dseg"
        values = np.asarray(nib.load(f"{stem}.nii.gz").dataobj).ravel()
        table = pd.read_csv(f"{stem}.tsv", sep="\t")
        mask = np.asarray(nib.load(folder / "sub-07/func/sub-07_task-rest_desc-used_mask.nii.gz").dataobj).ravel()
        np.testing.assert_array_equal(np.flatnonzero(mask), study["chosen"])
    np.testing.assert_array_equal(values[study["chosen"]], study["labels"])
    assert set(zip(table["index"], table["name"], strict=True)) == {(0, "rest"), (1, "V1"), (2, "hV4")}
    assert table["color"].str.fullmatch("#[0-9a-f]{6}").all()


def test_tables_keep_every_digit_and_say_what_their_columns_are(study):
    files = list(study["folder"].glob("sub-*/func/*_seg-areas1_desc-mlpSeed0_stat-linearIgc_roi.tsv"))
    assert len(files) == 1
    ours = study["arguments"]["tables"] / "mlp-seed0/linear_igc.tsv"
    assert files[0].read_text() == ours.read_text()
    described = json.loads(files[0].with_suffix(".json").read_text())
    assert list(described) == ["set", "roi", "attribution"]
    assert "share of the score" in described["attribution"]["Description"]


def test_dataset_is_described(study):
    described = json.loads((study["folder"] / "dataset_description.json").read_text())
    assert described["DatasetType"] == "derivative"
    assert described["GeneratedBy"][0]["Name"] == "igc"
    assert described["GeneratedBy"][0]["Version"] == "1.2"
    assert "Somebody (2001)" in described["HowToAcknowledge"]


def test_second_export_takes_the_place_of_the_first_but_of_nothing_else(tmp_path):
    made = write_study(tmp_path, False, {"kind": "haxby", "subject": 3})
    output = tmp_path / "derivatives/igc"
    bids(**made["arguments"], output=output)
    before = names_below(output)
    assert any("sub-03_task-objectviewing_contrast-house" in name for name in before)
    one = made["arguments"] | {"attributions": made["arguments"]["attributions"][:1]}
    bids(**one, output=output)
    assert set(names_below(output)) == {name for name in before if "linearIgc" not in name}
    (output / "dataset_description.json").write_text('{"GeneratedBy": [{"Name": "fMRIPrep"}]}')
    with pytest.raises(StoreError, match="holds something else"):
        bids(**one, output=output)


def test_studies_without_a_brain_and_missing_tables_are_refused_before_anything_is_written(tmp_path):
    studies.write_samples(tmp_path / "images.zarr", "image", ["a", "b"], True, (1, 8, 8))
    made = write_study(tmp_path, False, {})
    with pytest.raises(DataError, match="voxels or vertices"):
        bids(**made["arguments"] | {"samples": tmp_path / "images.zarr"}, output=tmp_path / "out")
    (tmp_path / "rois/mlp-seed0/igc.tsv").unlink()
    with pytest.raises(MissingFileError, match="igc aggregate"):
        bids(**made["arguments"], output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    bids(**made["arguments"] | {"tables": None, "rois": None}, output=tmp_path / "out")
    assert not [name for name in names_below(tmp_path / "out") if "_roi" in name or "dseg" in name]


def test_labels_hold_letters_and_digits_and_differ_where_names_do():
    labels = labels_of(["a_b", "aB", "a-b", "Größe", "1/f slope", "?", "!", "a_b"])
    assert list(labels) == ["a_b", "aB", "a-b", "Größe", "1/f slope", "?", "!"]
    assert labels["a_b"] == "aB"
    assert labels["1/f slope"] == "1FSlope"
    assert len({label.lower() for label in labels.values()}) == len(labels)
    assert all(re.fullmatch("[A-Za-z0-9]+", label) for label in labels.values())


def test_entities_come_in_the_order_of_the_standard():
    place = Place("01", "nsdcore", "fsaverage", "164k")
    assert file_name(place, "dseg.label.gii", hemi="L", seg="areas", task="") == (
        "sub-01_hemi-L_space-fsaverage_seg-areas_den-164k_dseg.label.gii"
    )
    assert file_name(Place("01", "x"), "mask.nii.gz", desc="used") == "sub-01_task-x_desc-used_mask.nii.gz"
