"""Data that the package has never seen run from a YAML file alone, in a folder of their own, to maps and tables."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
import zarr

import igc
from igc.roi.sets import open_rois
from igc.steps.report import FIGURES
from tests.workflow.conftest import copy_checkout
from tests.workflow.snakes import planned, snakemake

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(1200)]

RUNS, VOLUMES, SECONDS, LAG = 4, 36, 2.0, 4.0
SHAPE = (8, 6, 4)
# as scanners often store images: the first voxel axis runs from right to left
AFFINE = np.array([[-3.0, 0, 0, 10.5], [0, 3.0, 0, -20], [0, 0, 3.5, -7], [0, 0, 0, 1]])
REGIONS = {3: "face area", 7: "house area", 9: "silent"}


def mask() -> np.ndarray:
    """Return a mask (x, y, z) that touches no border of the volume."""
    inside = np.zeros(SHAPE, bool)
    inside[1:7, 1:5, 1:3] = True
    return inside


def atlas() -> np.ndarray:
    """Return labels (x, y, z): an area at either side, one without signal, and voxels outside all of them."""
    labels = np.zeros(SHAPE, np.int16)
    labels[:3, :3] = 3
    labels[5:, :3] = 7
    labels[3:5, 3:] = 9
    return labels


def onsets(run: int) -> list[tuple[float, str]]:
    kinds = ["face", "house", "house", "face"] if run % 2 else ["house", "face", "face", "house"]
    return [(4.0 + 16 * i, kind) for i, kind in enumerate(kinds)]


def seen(run: int, delay: float) -> np.ndarray:
    """Return what is seen at each volume of a run, some seconds later."""
    shown = np.full(VOLUMES, "", dtype=object)
    for volume in range(VOLUMES):
        for onset, kind in onsets(run):
            if onset <= volume * SECONDS - delay < onset + 8:
                shown[volume] = kind
    return shown


def write_image(path: Path, values: np.ndarray) -> str:
    image = nib.Nifti1Image(values, AFFINE)
    if values.ndim == 4:
        image.header.set_zooms((3.0, 3.0, 3.5, SECONDS))
        image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return f"{path.parent.name}/{path.name}"


def write_brain(folder: Path) -> dict:
    """Write four runs of an invented brain and return their settings, with paths relative to the folder above."""
    folder.mkdir()
    rng = np.random.default_rng(11)
    names: dict[str, list[str]] = {"images": [], "events": [], "confounds": []}
    for run in range(RUNS):
        motion = rng.normal(size=(VOLUMES, 2)).cumsum(axis=0)
        values = 800 + 5 * rng.standard_normal((*SHAPE, VOLUMES)) + 20 * motion[:, 0] + np.arange(VOLUMES)
        values[atlas() == 3] += 5 * (seen(run, LAG) == "face")
        values[atlas() == 7] += 5 * (seen(run, LAG) == "house")
        names["images"].append(write_image(folder / f"run {run}.nii.gz", values.astype(np.float32)))
        rows = [f"{onset}\t8\t{kind}\tn/a" for onset, kind in onsets(run)]
        text = "\n".join(["onset\tduration\ttrial_type\tresponse", *rows, "70\t0.5\tpress\tleft"]) + "\n"
        (folder / f"run {run} events.tsv").write_text(text, encoding="utf-8")
        names["events"].append(f"{folder.name}/run {run} events.tsv")
        table = pd.DataFrame({"trans_x": motion[:, 0], "rot_z": motion[:, 1], "fd": ["n/a", *["0.1"] * (VOLUMES - 1)]})
        table.to_csv(folder / f"run {run} confounds.tsv", sep="\t", index=False)
        names["confounds"].append(f"{folder.name}/run {run} confounds.tsv")
    table = pd.DataFrame({"index": list(REGIONS), "name": list(REGIONS.values()), "color": ["#aa0000", "", "#00aa00"]})
    table.to_csv(folder / "areas.tsv", sep="\t", index=False)
    return {
        "kind": "nifti",
        **names,
        "mask": write_image(folder / "mask.nii", mask().astype(np.uint8)),
        "lag": LAG,
        "ignore": ["press"],
        "confound_columns": ["trans_x", "rot_z"],
        "atlases": {
            "areas": {"labels": write_image(folder / "areas.nii", atlas()), "table": f"{folder.name}/areas.tsv"}
        },
    }


def write_arrays(folder: Path) -> dict:
    """Write arrays of which the first three columns tell the first target, and return their settings."""
    folder.mkdir()
    rng = np.random.default_rng(12)
    inputs = rng.standard_normal((240, 8)).astype(np.float32)
    responses = np.stack([inputs[:, :3].sum(axis=1), inputs[:, 5] ** 3], axis=1) + 0.2 * rng.standard_normal((240, 2))
    zarr.save_array(str(folder / "inputs.zarr"), inputs)
    np.save(folder / "responses.npy", responses)
    np.save(folder / "groups.npy", np.repeat([f"person {i}" for i in range(12)], 20))
    np.save(folder / "parts.npy", np.repeat([1, 0, 2], [3, 2, 3]))
    (folder / "parts.csv").write_text("index,name\n1,Größe\n2,Länge\n", encoding="utf-8")
    paths = {"inputs": "inputs.zarr", "responses": "responses.npy", "groups": "groups.npy"}
    return {
        "kind": "arrays",
        **{name: f"{folder.name}/{file}" for name, file in paths.items()},
        "target_names": ["sum", "cube"],
        "atlases": {"parts": {"labels": f"{folder.name}/parts.npy", "table": f"{folder.name}/parts.csv"}},
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder outside the checkout in which two studies of a user have run."""
    place = tmp_path_factory.mktemp("a user's")
    (place / "igc").mkdir()
    copy_checkout(place / "igc")
    folder = place / "my studies Ä"
    folder.mkdir()
    network = {"kind": "network", "architecture": "residual_mlp", "arguments": {"width": 16}, "training": {"epochs": 6}}
    studies = {
        "pictures": {
            "title": "Faces & houses: 'quoted' \"title\" $HOME; ä",
            "data": write_brain(folder / "brain data"),
            "split": {"folds": 2},
            "models": {"logistic": {"kind": "linear", "fit": "logistic"}, "mlp": network},
            "methods": {"igc": {"points": 4, "models": ["mlp"]}, "linear_igc": {"models": ["logistic"]}},
            "rois": {"areas": {"kind": "atlas", "atlas": "areas"}, "sides": {"kind": "hemispheres"}},
        },
        "table": {
            "data": write_arrays(folder / "tables"),
            "split": {"folds": 3},
            "models": {"ridge": {"kind": "linear"}},
            "methods": {"linear_igc": {}},
            "rois": {"parts": {"kind": "atlas", "atlas": "parts"}},
        },
    }
    text = yaml.safe_dump({"seed": 5, "studies": studies}, allow_unicode=True)
    (folder / "my study.yaml").write_text(text, encoding="utf-8")
    snakemake(*arguments(folder), "--cores", "2", folder=folder)
    return folder


def arguments(home: Path) -> list[str | Path]:
    return ["--snakefile", home.parent / "igc" / "Snakefile", "--configfile", "my study.yaml"]


def test_samples_are_the_volumes_during_the_events_inside_the_mask(home: Path) -> None:
    samples = igc.open_samples(home / "results" / "pictures" / "samples.zarr")
    expected = np.concatenate([seen(run, LAG) for run in range(RUNS)])
    kept = np.flatnonzero(expected != "")
    order = np.argsort(samples["sample_id"].values)
    np.testing.assert_array_equal(samples["sample_id"].values[order], kept)
    assert samples["target"].values.tolist() == ["face", "house"]
    told = np.array(["face", "house"])[samples["responses"].values[order].argmax(axis=1)]
    np.testing.assert_array_equal(told, expected[kept])
    np.testing.assert_array_equal(samples["voxel_index"].values, np.argwhere(mask()))
    np.testing.assert_allclose(samples.attrs["affine"], AFFINE)
    runs = samples["group"].values[order]
    np.testing.assert_array_equal(runs, kept // VOLUMES)
    assert all(len(set(samples["fold"].values[order][runs == run])) == 1 for run in range(RUNS))


def roi_table(home: Path, study: str, model: str, method: str) -> pd.DataFrame:
    return pd.read_csv(home / "results" / study / "rois" / f"{model}-seed0" / f"{method}.tsv", sep="\t")


@pytest.mark.parametrize(("model", "method"), [("mlp", "igc"), ("logistic", "linear_igc")])
def test_each_set_has_its_named_regions_and_a_rest_and_sums_to_the_score(home: Path, model: str, method: str) -> None:
    table = roi_table(home, "pictures", model, method)
    scores = pd.read_csv(home / "results" / "pictures" / "models" / f"{model}-seed0" / "scores.tsv", sep="\t")
    scores = scores.query("fold == 'mean' and metric == 'correlation'").set_index("target")["value"]
    for target in ("face", "house"):
        for name, rows in table[table["target"] == target].groupby("set"):
            np.testing.assert_allclose(rows["attribution"].sum(), scores[target], atol=1e-5)
            regions = [*REGIONS.values(), "rest"] if name == "areas" else ["left", "right", "rest"]
            assert rows["roi"].tolist() == regions
    sizes = table[table["target"] == "face"].set_index(["set", "roi"])["n_components"]
    inside = atlas()[mask()]
    assert sizes["areas"].tolist() == [int(np.sum(inside == label)) for label in (3, 7, 9, 0)]
    x = (np.argwhere(mask()) @ AFFINE[:3, :3].T + AFFINE[:3, 3])[:, 0]
    assert sizes["sides"].tolist() == [int(np.sum(x < 0)), int(np.sum(x > 0)), int(np.sum(x == 0))]


def test_the_areas_that_answer_carry_the_score(home: Path) -> None:
    shares = roi_table(home, "pictures", "logistic", "linear_igc")
    shares = shares[(shares["target"] == "face") & (shares["set"] == "areas")].set_index("roi")["attribution"]
    assert shares.sum() > 0.6
    assert shares["face area"] + shares["house area"] > 0.8 * shares.sum()
    assert abs(shares["silent"]) < 0.1


@pytest.mark.parametrize(("model", "method"), [("mlp", "igc"), ("logistic", "linear_igc")])
def test_maps_are_volumes_on_the_grid_of_the_images(home: Path, model: str, method: str) -> None:
    study = home / "results" / "pictures"
    image = nib.load(study / "maps" / f"{model}-seed0" / f"{method}.nii.gz")
    result = igc.open_result(study / "attributions" / f"{model}-seed0" / f"{method}.zarr")
    assert image.shape == (*SHAPE, 2)
    np.testing.assert_allclose(image.affine, AFFINE)
    volumes = image.get_fdata()
    np.testing.assert_allclose(volumes[mask()].T, result["attribution"].values, atol=1e-6)
    assert not volumes[~mask()].any()
    described = json.loads((study / "maps" / f"{model}-seed0" / f"{method}.json").read_text(encoding="utf-8"))
    assert described["Volumes"] == ["face", "house"]
    assert (study / "viewer" / f"{model}-seed0" / f"{method}.html").stat().st_size > 10_000


def test_arrays_run_from_yaml_alone_too(home: Path) -> None:
    samples = igc.open_samples(home / "results" / "table" / "samples.zarr")
    assert sorted(samples.attrs["group_names"]) == sorted(f"person {i}" for i in range(12))
    table = roi_table(home, "table", "ridge", "linear_igc").set_index(["target", "roi"])["attribution"]
    assert table["sum"].index.tolist() == ["Größe", "Länge", "rest"]
    scores = pd.read_csv(home / "results" / "table" / "models" / "ridge-seed0" / "scores.tsv", sep="\t")
    scores = scores.query("fold == 'mean' and metric == 'correlation'").set_index("target")["value"]
    np.testing.assert_allclose([table["sum"].sum(), table["cube"].sum()], scores[["sum", "cube"]], atol=1e-5)
    assert table["sum", "Größe"] > 0.9 * scores["sum"]
    assert table["cube", "Länge"] > 0.9 * scores["cube"]


@pytest.mark.parametrize("study", ["pictures", "table"])
def test_every_figure_is_drawn_and_nothing_half_written_is_left(home: Path, study: str) -> None:
    for name in FIGURES:
        assert (home / "results" / study / "figures" / name).stat().st_size > 5000
    assert not list((home / "results").rglob("*.partial*"))


def test_one_page_holds_the_maps_of_both_studies(home: Path) -> None:
    page = (home / "results" / "explorer.html").read_text(encoding="utf-8")
    assert '"name":"pictures"' in page
    assert '"name":"table"' in page
    assert "pictures/viewer/mlp-seed0/igc.html" in page


def test_nothing_is_left_to_do_and_nothing_was_written_into_the_checkout(home: Path) -> None:
    assert planned(*arguments(home), folder=home) == {}
    assert not (home.parent / "igc" / "results").exists()


def test_a_changed_file_of_the_user_reruns_only_the_study_that_reads_it(home: Path) -> None:
    (home / "tables" / "parts.csv").write_text("index,name\n1,Größe\n2,Breite\n", encoding="utf-8")
    jobs = "preprocess rois train attribute aggregate yardsticks compare summarize report explore".split()
    assert planned(*arguments(home), folder=home) == dict.fromkeys(jobs, 1)
    snakemake(*arguments(home), "--cores", "1", "results/table/rois.zarr/zarr.json", folder=home)
    regions = open_rois(home / "results" / "table" / "rois.zarr")["parts"].regions
    assert [region.name for region in regions.values()] == ["Größe", "Breite"]
