import numpy as np
import pandas as pd
import pytest
from scipy.io import loadmat, savemat

from igc.data.nsd.design import (
    BEHAVIOUR,
    check_behaviour,
    read_behaviour,
    read_design,
    read_information,
)
from igc.data.nsd.layout import SESSIONS, TRIALS, Layout
from igc.data.nsd.make import Recipe, plan_design
from igc.data.nsd.stimuli import open_stimuli
from igc.errors import DataError, MissingFileError, ShapeError


def test_design_file_has_the_variables_and_counts_from_one(small):
    content = loadmat(Layout(small, 1).design)
    n = 2 * TRIALS
    assert content["masterordering"].shape == (1, n)
    assert content["masterordering"].min() == content["subjectim"].min() == 1
    assert set(content["sharedix"][0]) == set(content["subjectim"][0, :60])
    assert content["subjectim"].shape == (8, n // 3)
    assert content["sharedix"].shape == (1, 60)
    assert content["stimpattern"].shape == (2, 12, 75)
    np.testing.assert_array_equal(content["stimpattern"].sum(axis=2), [[63, 62] * 6] * 2)
    assert content["basiccnt"].shape == (3, 2)
    assert all(content[name].dtype == np.float64 for name in ("masterordering", "subjectim", "stimpattern"))


def test_images_of_trials_follow_the_formula_of_the_manual(small):
    content = loadmat(Layout(small, 1).design)
    design = read_design(Layout(small, 1).design)
    for subject in (1, 2):
        trials = design.trials(subject, 2)
        for t in range(0, 2 * TRIALS, 97):
            expected = content["subjectim"][subject - 1, int(content["masterordering"][0, t]) - 1] - 1
            assert trials.image[t] == expected
        # the first of each subject's list are the shared ones
        np.testing.assert_array_equal(np.isin(trials.image, design.shared), trials.place < 60)


def test_subjects_who_left_early_never_saw_the_tail(small):
    layout = Layout(small, 2)
    design = read_design(layout.design)
    trials = design.trials(2, 1)
    assert len(trials.image) == TRIALS
    table = read_information(layout.information)
    named = table[[f"subject2_rep{i}" for i in range(3)]].to_numpy()
    # the table names trials that did not take place; trials count from 1, and 0 is never
    assert named.max() == 2 * TRIALS
    images, repeats = np.nonzero((named > 0) & (named <= TRIALS))
    assert len(images) == TRIALS
    np.testing.assert_array_equal(trials.image[named[images, repeats] - 1], images)
    np.testing.assert_array_equal(trials.repeat[named[images, repeats] - 1], repeats)


def test_table_of_images_has_41_columns_and_counts_from_zero(small):
    path = Layout(small, 1).information
    raw = pd.read_csv(path)
    assert len(raw.columns) == 41
    assert raw.columns[0] == "Unnamed: 0"
    table = read_information(path)
    assert table["nsdId"].iloc[0] == 0
    assert len(table) == open_stimuli(Layout(small, 1).stimuli).shape[0]
    assert set(table["cocoSplit"]) == {"train2017", "val2017"}
    design = read_design(Layout(small, 1).design)
    np.testing.assert_array_equal(np.flatnonzero(table["shared1000"]), design.shared)
    for subject in (1, 2):
        np.testing.assert_array_equal(np.flatnonzero(table[f"subject{subject}"]), np.sort(design.images[subject - 1]))
    raw["nsdId"] += 1
    wrong = path.with_name("wrong.csv")
    raw.to_csv(wrong, index=False)
    with pytest.raises(DataError, match="count from 0"):
        read_information(wrong)


def test_behaviour_has_19_columns_and_speaks_of_the_same_images(small):
    layout = Layout(small, 1)
    table = read_behaviour(layout.behaviour)
    assert tuple(table.columns) == BEHAVIOUR
    assert len(BEHAVIOUR) == 19
    assert len(table) == 2 * TRIALS
    assert "NaN" in layout.behaviour.read_text()
    assert table["BUTTON"].isna().any()
    assert table["73KID"].min() >= 1
    assert table.groupby(["SESSION", "RUN"]).size().tolist() == [63, 62] * 12
    trials = read_design(layout.design).trials(1, 2)
    check_behaviour(layout.behaviour, table, trials)
    # the image numbers of a file that counts from 0
    with pytest.raises(DataError, match="73KID"):
        check_behaviour(layout.behaviour, table.assign(**{"73KID": table["73KID"] - 1}), trials)
    with pytest.raises(ShapeError, match="750 rows"):
        check_behaviour(layout.behaviour, table.iloc[:TRIALS], trials)
    damaged = layout.behaviour.with_name("damaged.tsv")
    table.drop(columns="RT").to_csv(damaged, sep="\t", index=False)
    with pytest.raises(DataError, match="columns"):
        read_behaviour(damaged)


def test_old_is_what_was_shown_before(small):
    layout = Layout(small, 2)
    trials = read_design(layout.design).trials(2, 1)
    np.testing.assert_array_equal(read_behaviour(layout.behaviour)["ISOLD"], trials.repeat > 0)


@pytest.mark.parametrize("sessions", [(3, 2), (2, 1), (4, 3, 3), (2, 2), (3, 1)])
def test_each_image_comes_three_times_and_most_within_the_sessions_of_all(sessions):
    design = plan_design(Recipe(sessions=sessions, shared=60))
    assert len(design.order) == max(sessions) * TRIALS
    np.testing.assert_array_equal(np.bincount(design.order), np.full(250 * max(sessions), 3))
    counts = np.bincount(np.bincount(design.order[: min(sessions) * TRIALS]), minlength=4)
    assert counts[2] == 0
    assert counts[3] >= (min(sessions) * TRIALS - 150) // 3
    assert len(np.unique(design.images)) == 60 + len(sessions) * (250 * max(sessions) - 60)


def test_default_order_shows_four_hundred_images_three_times_to_everybody():
    recipe = Recipe()
    design = plan_design(recipe)
    for subject, n_sessions in enumerate(recipe.sessions, start=1):
        _, counts = np.unique(design.trials(subject, n_sessions).image, return_counts=True)
        assert (counts == 3).sum() >= 400


def test_images_seen_by_all_are_the_slow_intersection(ordinary):
    design = read_design(Layout(ordinary, 1).design)
    sessions = design.sessions_of_all({1: 3, 2: 2})
    assert sessions == {1: 3, 2: 2}
    for repeats in (1, 3):
        expected = [
            int(image)
            for image in design.shared
            if all((design.trials(s, n).image == image).sum() >= repeats for s, n in sessions.items())
        ]
        assert design.seen_by_all(sessions, repeats).tolist() == sorted(expected)
    assert 0 < len(design.seen_by_all(sessions)) < len(design.shared)


def test_full_design_uses_the_sessions_of_the_public_dataset(tmp_path):
    random = np.random.default_rng(0)
    order = np.concatenate([random.permutation(10000) for _ in range(3)]) + 1
    images = np.stack([np.r_[np.arange(1000), 1000 + 9000 * s + np.arange(9000)] for s in range(8)]) + 1
    path = tmp_path / "design.mat"
    savemat(path, {"masterordering": order[None], "subjectim": images, "sharedix": np.arange(1, 1001)[None]})
    design = read_design(path)
    sessions = design.sessions_of_all({1: 1})
    assert sessions == SESSIONS == {1: 40, 2: 40, 3: 32, 4: 30, 5: 40, 6: 32, 7: 40, 8: 30}
    assert sum(sessions.values()) * TRIALS == 213000
    assert len(design.trials(4, 30).image) == 22500
    shared = design.seen_by_all(sessions)
    tail = set(order[22500:] - 1)
    assert shared.tolist() == [i for i in range(1000) if i not in tail]
    with pytest.raises(DataError, match="subject 9"):
        design.trials(9, 1)
    with pytest.raises(DataError, match="41 sessions"):
        design.trials(1, 41)


def test_design_that_contradicts_itself_is_refused(tmp_path):
    path = tmp_path / "design.mat"
    with pytest.raises(MissingFileError):
        read_design(path)
    good = {"masterordering": np.arange(1, 751)[None], "subjectim": np.arange(1, 751)[None], "sharedix": [[1, 2]]}
    for change in ({"sharedix": [[751]]}, {"masterordering": np.arange(750)[None]}, {"subjectim": [[1, 2]]}):
        savemat(path, good | change)
        with pytest.raises(DataError, match="fit each other"):
            read_design(path)
    savemat(path, {"masterordering": good["masterordering"]})
    with pytest.raises(DataError, match="subjectim"):
        read_design(path)
    path.write_bytes(b"text")
    with pytest.raises(DataError, match="unreadable"):
        read_design(path)
