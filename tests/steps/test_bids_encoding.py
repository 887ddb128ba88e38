"""Encoding studies as BIDS derivatives: maps over the image, receptive fields and scores, each where it belongs."""

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from igc.config_results import FieldSettings
from igc.report.bids_encoding import TARGET_COLUMNS
from igc.steps.bids import bids
from igc.steps.fields import fields
from igc.store.arrays import create_store
from igc.store.results import save_result
from tests.steps.test_bids import complaints, names_below

SHAPE, VOLUME, COUNTS = (1, 6, 8), (4, 5, 3), (642, 642)
AFFINE = [[-2.0, 0, 0, 9], [0, 3, 0, -4], [0, 0, 2.5, 1], [0, 0, 0, 1]]
NAMES = ["a", "b", "c"]
PLACES = np.array([[1.0, 2.0, 1.0], [3.0, 5.0, 1.2], [4.0, 6.0, 1.5]])  # row, column, size
VOXELS, VERTICES = np.array([[0, 1, 2], [3, 4, 0], [2, 2, 2]]), np.array([[0, 5], [1, 7], [1, 600]])


def write_study(home: Path, surface: bool) -> dict:
    """Write samples of images whose responses lie in a brain, and one result; return the arguments of the step."""
    random = np.random.default_rng(0)
    with create_store(home / "samples.zarr") as store:
        store.put("inputs", ("sample", "channel", "row", "column"), random.random((6, *SHAPE)).astype(np.float32))
        store.put("responses", ("sample", "target"), random.random((6, 3)).astype(np.float32))
        for name in ("fold", "group", "sample_id"):
            store.put(name, ("sample",), np.arange(6) if name == "sample_id" else np.zeros(6, dtype=int))
        store.put("target_ncsnr", ("target",), np.array([1.0, 0.5, 0.1]), ceiling_floor=10.0)
        store.put("trials", ("sample",), np.full(6, 3))
        regions = {"1": {"name": "V1v", "color": None}, "2": {"name": "V1d", "color": None}}
        store.put("target_atlas_areas", ("target",), np.array([1, 2, 0], dtype=np.int32), regions=regions)
        if surface:
            store.put("target_vertex_index", ("target", "axis"), VERTICES)
            place = {"target_hemisphere_vertices": list(COUNTS)}
        else:
            store.put("target_voxel_index", ("target", "axis"), VOXELS)
            store.put("target_background", ("x", "y", "z"), np.ones(VOLUME, dtype=np.float32))
            place = {"target_affine": AFFINE, "target_volume_shape": list(VOLUME)}
        space = "fsaverage" if surface else "func1pt8mm"
        source = {"settings": {"kind": "nsd", "subject": 3, "space": space}, "files": ["x"], "citation": "Somebody"}
        about = {"study": "made", "title": "Made", "kind": "image", "target_names": NAMES, "field_of_view": 4.0}
        store.set_attributes({**about, **place, "source": source, "group_names": ["0"], "target_type": "values"})
    row, column = np.indices(SHAPE[1:])
    maps = np.stack([np.exp(-((row - r) ** 2 + (column - c) ** 2) / (2 * s**2)) for r, c, s in PLACES])[:, None]
    maps *= 0.5 / maps.sum(axis=(1, 2, 3), keepdims=True)
    result = xr.Dataset(
        {
            "attribution": (("target", "channel", "row", "column"), maps),
            "score": (("target",), maps.sum(axis=(1, 2, 3))),
            "n_fold": (("fold",), [6]),
        },
        coords={"target": ("target", np.array(NAMES, dtype=object))},
        attrs={"method": "igc", "model": "net", "complete": True, "seed": 0},
    )
    save_result(result, home / "net-seed0" / "igc.zarr")
    given = {"samples": home / "samples.zarr", "attributions": [home / "net-seed0/igc.zarr"]}
    fields(**given, settings=FieldSettings(), output=home / "fields")
    assert (home / "fields/net-seed0/igc-brain.png").stat().st_size > 10_000
    (home / "tables/net-seed0").mkdir(parents=True)
    (home / "tables/net-seed0/igc.tsv").write_text("set\troi\ttarget\tattribution\nquadrants\tupper\ta\t0.25\n")
    return {**given, "rois": None, "tables": home / "tables", "version": "1.2", "fields": home / "fields"}


@pytest.fixture(scope="module", params=["volume", "surface"])
def study(request, tmp_path_factory):
    home = tmp_path_factory.mktemp(request.param)
    given = write_study(home, request.param == "surface")
    bids(**given, output=home / "igc")
    stem = f"sub-03_task-nsdcore_space-{'fsaverage' if request.param == 'surface' else 'func1pt8mm'}"
    return {"folder": home / "igc", "surface": request.param == "surface", "stem": stem, "given": given}


def in_the_brain(study: dict, name: str) -> tuple[np.ndarray, int]:
    """Return the values of an image at the three targets, and how many values it has besides."""
    func = study["folder"] / "sub-03/func"
    end = f"contrast-{name}_desc-netSeed0_stat-igc_statmap"
    if study["surface"]:
        paths = [func / f"sub-03_task-nsdcore_hemi-{side}_space-fsaverage_{end}.shape.gii" for side in "LR"]
        sides = [nib.load(path).darrays[0].data for path in paths]
        values = np.array([sides[side][vertex] for side, vertex in VERTICES])
        return values, int(sum(np.isfinite(side).sum() for side in sides) - np.isfinite(values).sum())
    image = nib.load(func / f"{study['stem']}_{end}.nii.gz")
    np.testing.assert_allclose(image.affine, AFFINE)
    values = image.get_fdata()[tuple(VOXELS.T)]
    return values, int(np.isfinite(image.get_fdata()).sum() - np.isfinite(values).sum())


def test_the_validator_accepts_the_export_and_needs_the_list_of_exceptions(study):
    folder = study["folder"]
    assert complaints(folder) == {}
    lines = (folder / ".bidsignore").read_text()
    (folder / ".bidsignore").unlink()
    try:
        found = complaints(folder)
    finally:
        (folder / ".bidsignore").write_text(lines)
    assert set(found) == {"NOT_INCLUDED"}
    assert all(re.search(r"_(statmap|maps|targets|roi)\.", name) for name in found["NOT_INCLUDED"])


def test_maps_of_all_targets_stand_upright_in_one_file(study):
    path = study["folder"] / "sub-03/func" / f"{study['stem']}_desc-netSeed0_stat-igc_maps.nii.gz"
    image = nib.load(path)
    assert image.shape == (8, 6, 1, 3)
    described = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert described["Axes"] == ["column", "row from below", "channel", "target"]
    assert {"Model", "Method", "Sources", "SpatialReference", "Units"} <= set(described)
    for target, (row, column, _) in enumerate(PLACES):
        values = image.get_fdata()[:, :, 0, target]
        place = np.unravel_index(values.argmax(), values.shape)
        # half a degree a pixel, to the right and upwards from the middle
        world = nib.affines.apply_affine(image.affine, [*place, 0])[:2]
        np.testing.assert_allclose(world, [(column - 3.5) * 0.5, (2.5 - row) * 0.5])
        assert values.sum() == pytest.approx(0.5)


def test_fields_and_scores_are_a_table_and_images_of_the_brain(study):
    path = study["folder"] / "sub-03/func" / f"{study['stem']}_desc-netSeed0_stat-igc_targets.tsv"
    table = pd.read_csv(path, sep="\t", na_values="n/a")
    axes = ["hemisphere", "vertex"] if study["surface"] else ["x", "y", "z"]
    np.testing.assert_array_equal(table[axes], VERTICES if study["surface"] else VOXELS)
    np.testing.assert_allclose(table[["row", "column", "size"]], PLACES, atol=1e-3)
    np.testing.assert_allclose(table["ceiling"], [75, 300 / 7, 300 / 103], rtol=1e-5)
    np.testing.assert_allclose(table["normalized_score"], [0.5 / 0.75**0.5, 0.5 / (3 / 7) ** 0.5, np.nan], rtol=1e-6)
    described = json.loads(path.with_suffix(".json").read_text())
    assert list(described) == list(table.columns)
    assert described["angle"]["Description"] == TARGET_COLUMNS["angle"]
    for name, column in {
        "angle": "angle",
        "sizeDegrees": "size_degrees",
        "normalizedScore": "normalized_score",
    }.items():
        values, others = in_the_brain(study, name)
        np.testing.assert_allclose(values, table[column], rtol=1e-6)
        assert others == 0


def test_regions_of_the_targets_and_tables_of_the_image_go_along(study):
    names = names_below(study["folder"])
    assert any(name.endswith("_seg-quadrants_desc-netSeed0_stat-igc_roi.tsv") for name in names)
    if study["surface"]:
        left = nib.load(study["folder"] / "sub-03/anat/sub-03_hemi-L_space-fsaverage_seg-areas_dseg.label.gii")
        assert (left.darrays[0].data[5], left.darrays[0].data.sum()) == (1, 1)
    else:
        image = nib.load(study["folder"] / f"sub-03/func/{study['stem']}_seg-areas_dseg.nii.gz")
        np.testing.assert_array_equal(np.asarray(image.dataobj)[tuple(VOXELS.T)], [1, 2, 0])


def test_without_fields_scores_stand_alone(study, tmp_path):
    bids(**study["given"] | {"fields": None, "tables": None}, output=tmp_path / "out")
    names = names_below(tmp_path / "out")
    assert any("contrast-normalizedScore" in name for name in names)
    assert not any("contrast-angle" in name or "_roi." in name for name in names)
