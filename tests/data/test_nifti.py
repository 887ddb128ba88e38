import nibabel as nib
import numpy as np
import pytest
from nilearn.maskers import NiftiMasker

from igc.config import NiftiData
from igc.data.nifti import open_nifti
from igc.errors import ConfigError, DataError, IgcError, MissingFileError, ShapeError
from tests.data.series import (
    BLOCK,
    BLOCKS,
    LENGTH,
    SECONDS,
    SHAPE,
    categories,
    dataset,
    mask,
    save,
    signal,
    write_events,
    write_targets,
)

TASK = np.array([kind != "rest" for kind in categories()])


def read_all(data):
    with open_nifti(data, 0) as source:
        inputs, responses = source.read(np.arange(len(source.groups)))
        return source, inputs, responses


def names_of(source, responses):
    return [source.target_names[code] for code in responses.argmax(axis=1)]


def masked_by_nilearn(folder, n_runs, **options):
    series = np.concatenate([signal(i) for i in range(n_runs)], axis=3)
    image = nib.load(save(folder / "all.nii.gz", series, seconds=SECONDS))
    runs = np.repeat(np.arange(n_runs), LENGTH)
    confounds = options.pop("confounds", None)
    masker = NiftiMasker(nib.load(str(folder / "mask.nii.gz")), runs=runs, t_r=SECONDS, **options)
    return masker.fit_transform(image, confounds=confounds)


# --- cleaning ---------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*Generation of a mask")
@pytest.mark.parametrize("detrend", [True, False])
@pytest.mark.parametrize("standardize", [True, False])
def test_samples_are_those_of_a_nilearn_masker(tmp_path, detrend, standardize):
    _, inputs, _ = read_all(dataset(tmp_path, detrend=detrend, standardize=standardize))
    expected = masked_by_nilearn(tmp_path, 3, detrend=detrend, standardize="zscore_sample" if standardize else None)
    np.testing.assert_allclose(inputs, expected[np.tile(TASK, 3)], rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*Generation of a mask")
def test_confounds_and_high_pass_are_those_of_a_nilearn_masker(tmp_path):
    motion = np.random.default_rng(0).normal(size=(2 * LENGTH, 3))
    rows = ["\t".join(map(str, row)) for row in motion]
    (tmp_path / "motion.tsv").write_text("\n".join(["a\tb\tunused", *rows]) + "\n")
    data = dataset(tmp_path, 2, confounds=[str(tmp_path / "motion.tsv")], confound_columns=["a", "b"], high_pass=0.03)
    _, inputs, _ = read_all(data)
    options = {"detrend": True, "standardize": "zscore_sample", "high_pass": 0.03, "clean_args": {"filter": "cosine"}}
    expected = masked_by_nilearn(tmp_path, 2, confounds=motion[:, :2], **options)
    np.testing.assert_allclose(inputs, expected[np.tile(TASK, 2)], rtol=1e-4, atol=1e-4)


def test_cleaned_voxels_are_uncorrelated_with_the_confounds_of_their_run(tmp_path):
    files, motions = [], []
    for run in range(2):
        motions.append(np.random.default_rng(run).normal(size=LENGTH))
        (tmp_path / f"motion{run}.txt").write_text("\n".join(map(str, motions[-1])) + "\n")
        files.append(str(tmp_path / f"motion{run}.txt"))
    _, inputs, _ = read_all(dataset(tmp_path, 2, confounds=files, ignore=[]))
    for run in range(2):
        detrended = motions[run] - np.polyval(np.polyfit(np.arange(LENGTH), motions[run], 1), np.arange(LENGTH))
        assert np.abs(detrended @ inputs[run * LENGTH : (run + 1) * LENGTH]).max() < 1e-3


def test_cleaning_sees_the_volumes_that_are_left_out_afterwards(tmp_path):
    _, without_rest, _ = read_all(dataset(tmp_path))
    _, everything, _ = read_all(dataset(tmp_path, ignore=[]))
    np.testing.assert_array_equal(without_rest, everything[np.tile(TASK, 3)])


# --- runs and labels --------------------------------------------------------------------------------------------------


def test_one_image_with_all_runs_gives_the_same_as_one_image_a_run(tmp_path):
    _, inputs, responses = read_all(dataset(tmp_path))
    joined = save(tmp_path / "all.nii.gz", np.concatenate([signal(i) for i in range(3)], axis=3), seconds=SECONDS)
    for changes in ({}, {"run_column": None, "run_lengths": [LENGTH] * 3}):
        source, other_inputs, other_responses = read_all(dataset(tmp_path, images=[joined], **changes))
        np.testing.assert_array_equal(inputs, other_inputs)
        np.testing.assert_array_equal(responses, other_responses)
        assert len(source.group_names) == 3


def test_events_and_table_give_the_same_labels(tmp_path):
    events = [write_events(tmp_path / f"events{i}.tsv") for i in range(3)]
    _, inputs, responses = read_all(dataset(tmp_path))
    source, other_inputs, other_responses = read_all(dataset(tmp_path, events=events))
    np.testing.assert_array_equal(inputs, other_inputs)
    np.testing.assert_array_equal(responses, other_responses)
    assert source.target_names == ["cat", "face", "house"]
    assert source.group_names == ["run 1", "run 2", "run 3"]


@pytest.mark.parametrize("lag", [0.0, 2.0, 3.0, 4.0])
def test_volume_takes_the_event_that_covers_its_time_less_the_lag(tmp_path, lag):
    events = [write_events(tmp_path / "events.tsv", delay=0.5)]
    source, _, responses = read_all(dataset(tmp_path, 1, events=events, lag=lag))
    expected = {}
    for volume in range(LENGTH):
        for i, kind in enumerate(BLOCKS):
            onset = i * BLOCK * SECONDS + 0.5
            if kind != "rest" and onset <= volume * SECONDS - lag < onset + BLOCK * SECONDS:
                expected[volume] = kind
    assert dict(zip(source.sample_ids.tolist(), names_of(source, responses), strict=True)) == expected


def test_lag_shifts_the_table_within_each_run(tmp_path):
    source, _, responses = read_all(dataset(tmp_path, 2, lag=2 * SECONDS))
    labels = np.array(categories())
    for volume, name in zip(source.sample_ids, names_of(source, responses), strict=True):
        assert volume % LENGTH >= 2
        assert labels[volume % LENGTH - 2] == name


def test_block_is_the_mean_of_its_volumes(tmp_path):
    _, inputs, responses = read_all(dataset(tmp_path))
    source, blocks, block_responses = read_all(dataset(tmp_path, average="block"))
    assert len(blocks) == 9
    np.testing.assert_allclose(blocks, inputs.reshape(9, BLOCK, -1).mean(axis=1), atol=1e-6)
    np.testing.assert_array_equal(block_responses, responses[::BLOCK])
    assert source.groups.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_two_events_of_a_kind_in_a_row_are_two_blocks_and_runs_are_never_joined(tmp_path):
    kinds = ("face", "face", "house", "house", "cat", "cat")
    events = [write_events(tmp_path / f"e{i}.tsv", kinds) for i in range(2)]
    source, blocks, _ = read_all(dataset(tmp_path, 2, events=events, average="block"))
    assert len(blocks) == 12
    volumes, _, _ = read_all(dataset(tmp_path, 2, events=events))
    assert source.blocks.tolist() == list(range(12))
    assert np.unique(volumes.blocks).tolist() == list(range(12))
    assert (np.diff(volumes.blocks) >= 0).all()
    # in a table, neighbours of a kind cannot be told apart, but the end of a run can
    labels = ["face"] * 12 + ["house"] * 12 + ["house"] * 12 + ["face"] * 12
    targets = write_targets(tmp_path / "t.tsv", 2, kind=labels)
    changes = {"targets": targets, "category_column": "kind", "average": "block"}
    source, blocks, _ = read_all(dataset(tmp_path, 2, **changes))
    assert source.sample_ids.tolist() == [0, 12, 24, 36]


def test_numbers_are_predicted_as_they_stand(tmp_path):
    values = np.random.default_rng(0).normal(size=(3 * LENGTH, 2)).round(6)
    targets = write_targets(tmp_path / "t.tsv", 3, x=values[:, 0].tolist(), y=values[:, 1].tolist())
    changes = {"targets": targets, "category_column": None, "target_columns": ["y", "x"]}
    source, inputs, responses = read_all(dataset(tmp_path, **changes))
    np.testing.assert_allclose(responses, values[:, ::-1], rtol=1e-6)
    assert (source.target_type, source.target_names, len(inputs)) == ("values", ["y", "x"], 3 * LENGTH)
    assert source.blocks is None


def test_all_columns_but_run_and_group_are_predicted_by_default(tmp_path):
    file = tmp_path / "numbers.tsv"
    rows = [f"{i}\t{i * i}\tr{i // LENGTH}\tg{i // 6}" for i in range(3 * LENGTH)]
    file.write_text("\n".join(["a\tb\trun\tpart", *rows]) + "\n")
    source, _, _ = read_all(dataset(tmp_path, targets=str(file), category_column=None, group_column="part"))
    assert source.target_names == ["a", "b"]
    assert len(source.group_names) == 12


def test_group_column_of_events_is_the_unit_of_the_split(tmp_path):
    file = tmp_path / "events.tsv"
    file.write_text("onset\tduration\ttrial_type\tpicture\n0\t8\tface\tp1\n10\t8\thouse\tp2\n30\t8\tface\tp1\n")
    source, _, _ = read_all(dataset(tmp_path, 1, events=[str(file)], group_column="picture", average="block"))
    assert source.groups.tolist() == [0, 1, 0]
    assert source.group_names == ["p1", "p2"]
    assert source.blocks is None  # exchanged within a picture, responses would stay as they are


# --- reading ----------------------------------------------------------------------------------------------------------


def test_samples_may_be_read_in_any_order(tmp_path):
    source, inputs, responses = read_all(dataset(tmp_path))
    order = np.random.default_rng(0).permutation(len(inputs))
    with open_nifti(dataset(tmp_path), 0) as other:
        for part in np.array_split(order, 5):
            some, some_responses = other.read(part)
            np.testing.assert_array_equal(some, inputs[part])
            np.testing.assert_array_equal(some_responses, responses[part])
    assert source.in_time_order


def test_each_run_is_cleaned_once_when_read_in_order(tmp_path, monkeypatch):
    from igc.data import nifti

    cleaned = []
    original = nifti._Series.cleaned
    monkeypatch.setattr(nifti._Series, "cleaned", lambda self, n: cleaned.append(n) or original(self, n))
    with open_nifti(dataset(tmp_path), 0) as source:
        for part in np.array_split(np.arange(len(source.groups)), 9):
            source.read(part)
    assert cleaned == [0, 1, 2]


def test_voxels_and_background_lie_where_the_images_say(tmp_path):
    source, _, _ = read_all(dataset(tmp_path, standardize=False, detrend=False))
    index = source.variables["voxel_index"].values
    background = source.variables["background"].values
    np.testing.assert_allclose(background, signal(0).mean(axis=3), rtol=1e-5)
    np.testing.assert_array_equal(index, np.argwhere(mask()))
    assert source.attributes["volume_shape"] == list(SHAPE)
    _, raw, _ = read_all(dataset(tmp_path, standardize=False, detrend=False, ignore=[]))
    np.testing.assert_allclose(raw[:LENGTH].mean(axis=0), background[tuple(index.T)], rtol=1e-4)


# --- errors -----------------------------------------------------------------------------------------------------------


def changed(run, voxel, value):
    series = signal(run)
    series[voxel] = value
    return series


def first_voxels():
    return [tuple(int(i) for i in voxel) for voxel in np.argwhere(mask())[:2]]


def with_image(folder, series, run=1):
    data = dataset(folder)
    save(folder / f"run{run}.nii.gz", series, seconds=SECONDS)
    return data


def constant_voxels(folder):
    series = signal(1)
    for voxel in first_voxels():
        series[voxel] = 7
    return with_image(folder, series)


def no_header_time(folder):
    data = dataset(folder, 1, events=[write_events(folder / "e.tsv")])
    save(folder / "run0.nii.gz", signal(0))
    return data


def shorter_targets(folder):
    return dataset(folder, targets=write_targets(folder / "short.tsv", 2))


def run_that_comes_back(folder):
    runs = ["a"] * LENGTH + ["b"] * LENGTH + ["a"] * LENGTH
    return dataset(folder, targets=write_targets(folder / "t.tsv", 3, part=runs), run_column="part")


def events(folder, rows, **changes):
    (folder / "e.tsv").write_text("onset\tduration\ttrial_type\n" + rows)
    return dataset(folder, 1, events=[str(folder / "e.tsv")], **changes)


def confounds(folder, rows, **changes):
    (folder / "c.tsv").write_text("x\n" + "1\n" * rows)
    return dataset(folder, confounds=[str(folder / "c.tsv")], **changes)


def constant_target(folder):
    targets = write_targets(folder / "t.tsv", 3, x=[1.5] * (3 * LENGTH))
    return dataset(folder, targets=targets, category_column=None, target_columns=["x"])


WRONG = {
    "constant voxels": (constant_voxels, DataError, r"run1.*\(r1\): found 2 constant voxels.*the first at"),
    "NaN voxels": (
        lambda f: with_image(f, changed(1, (*first_voxels()[0], 3), np.nan)),
        DataError,
        "1 NaN or infinite voxels.*leave them out of .*mask",
    ),
    "run of another shape": (lambda f: with_image(f, signal(1)[:4]), ShapeError, "run1.*shape"),
    "3-D image": (lambda f: with_image(f, signal(1)[..., 0]), ShapeError, "run1.*3-D image"),
    "missing image": (lambda f: dataset(f, images=[str(f / "gone.nii.gz")]), MissingFileError, "gone"),
    "targets shorter than volumes": (shorter_targets, ShapeError, "48 rows for 72 volumes"),
    "unknown category column": (lambda f: dataset(f, category_column="kind"), DataError, "no column 'kind'"),
    "unknown run column": (lambda f: dataset(f, run_column="session"), DataError, "no column 'session'"),
    "unknown group column": (lambda f: dataset(f, group_column="pic"), DataError, "no column 'pic'"),
    "unknown target column": (
        lambda f: dataset(f, category_column=None, target_columns=["z"]),
        DataError,
        "no column 'z'",
    ),
    "text as a number": (
        lambda f: dataset(f, category_column=None, target_columns=["category"]),
        DataError,
        "'face' in column 'category', row 1.*category_column",
    ),
    "constant target": (constant_target, DataError, "the same number in all volumes of column 'x'"),
    "run lengths": (
        lambda f: dataset(f, run_column=None, run_lengths=[LENGTH, LENGTH]),
        ShapeError,
        "run_lengths.*together 48",
    ),
    "run lengths and run column": (lambda f: dataset(f, run_lengths=[LENGTH] * 3), ConfigError, "only one of them"),
    "run that comes back": (run_that_comes_back, DataError, "run 'a' in 2 separate places"),
    "everything ignored": (
        lambda f: dataset(f, ignore=["rest", "face", "house", "cat"]),
        DataError,
        "no volume with a response",
    ),
    "one category": (lambda f: dataset(f, ignore=["rest", "face", "house"]), DataError, r"1 categories \(cat\)"),
    "blocks of numbers": (
        lambda f: dataset(
            f,
            targets=write_targets(f / "t.tsv", 3, x=list(range(72))),
            category_column=None,
            target_columns=["x"],
            average="block",
        ),
        ConfigError,
        "'block' with numeric targets",
    ),
    "no repetition time": (no_header_time, DataError, "set data.repetition_time"),
    "no event matched": (lambda f: events(f, "1000\t4\tface\n"), DataError, "no event that covers a volume"),
    "one kind of event matched": (
        lambda f: events(f, "0\t4\tface\n8\t4\tcat\n20\t0\thouse\n"),
        DataError,
        "no volume within any event 'house'",
    ),
    "two events at once": (
        lambda f: events(f, "0\t8\tface\n4\t8\thouse\n"),
        DataError,
        "'house' at 4 s over the same volume as 'face'",
    ),
    "events without durations": (lambda f: events(f, "0\tn/a\tface\n"), DataError, "column 'duration', row 1"),
    "too few events files": (
        lambda f: dataset(f, events=[write_events(f / "e.tsv")]),
        ShapeError,
        "1 events files for 3 runs",
    ),
    "run column with events": (
        lambda f: NiftiData(**(events(f, "0\t8\tface\n").model_dump() | {"run_column": "run"})),
        ConfigError,
        "run_column 'run' with events",
    ),
    "confounds of another length": (lambda f: confounds(f, 5), ShapeError, "5 rows for 72 volumes"),
    "unknown confound": (lambda f: confounds(f, 72, confound_columns=["y"]), DataError, "no column 'y'"),
    "number of confounds files": (
        lambda f: dataset(f, confounds=["a.tsv", "b.tsv"]),
        ShapeError,
        "2 files for 3 runs",
    ),
    "confound columns alone": (lambda f: dataset(f, confound_columns=["x"]), ConfigError, "without confounds"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_refused_in_one_line(tmp_path, case):
    make, kind, complaint = WRONG[case]
    with pytest.raises(kind, match=complaint) as caught:
        read_all(make(tmp_path))
    assert isinstance(caught.value, IgcError)
    assert "\n" not in str(caught.value)


def test_ignored_event_may_overlap_another(tmp_path):
    data = events(tmp_path, "0\t8\tface\n4\t8\tbutton\n20\t8\thouse\n", ignore=["button"])
    source, _, responses = read_all(data)
    assert names_of(source, responses) == ["face"] * 4 + ["house"] * 4
