from __future__ import annotations

import numpy as np

from igc.report.selection import choose_targets, main_results, method_label, model_labels, one_seed_each
from tests.report.conftest import results_of


def test_targets_are_chosen_by_their_mean_score_over_models_and_keep_their_order():
    results = results_of((4,), ["a", "b", "c", "d"])
    for (model, _), one in results.items():
        one["score"] = ("target", [0.9, 0.2, 0.3, np.nan] if model == "cnn-seed0" else [-0.8, 0.2, 0.6, 0.9])
    chosen = choose_targets(results, 2)
    assert chosen.names == ("b", "c")
    assert chosen.indices == (1, 2)
    assert "2 best predicted of 4" in chosen.note
    assert choose_targets(results, 4).note == ""


def test_the_first_seed_of_each_model_is_kept():
    kept, note = one_seed_each(["mlp-seed3", "linear-seed0", "mlp-seed1", "linear-seed0"])
    assert kept == ["mlp-seed3", "linear-seed0"]
    assert "1 more" in note


def test_a_seed_is_named_only_where_there_are_several():
    labels = model_labels(["deep_net-seed0", "deep_net-seed1", "ridge-seed0", "plain"])
    assert list(labels.values()) == ["deep net (seed 0)", "deep net (seed 1)", "ridge", "plain"]


def test_methods_are_spelled_out_in_words():
    assert [method_label(name) for name in ("igc", "igc_zero", "linear_igc", "gradient_x_input")] == [
        "IGC",
        "IGC zero",
        "linear IGC",
        "gradient \N{MULTIPLICATION SIGN} input",
    ]


def test_a_model_without_igc_is_shown_by_another_complete_method():
    results = results_of((4,), ["a"], methods=("integrated_gradients", "igc_zero"))
    main = main_results(results)
    assert main["cnn-seed0"] is results["cnn-seed0", "igc_zero"]
    results = results_of((4,), ["a"], methods=("igc_zero", "igc"))
    assert main_results(results)["cnn-seed0"] is results["cnn-seed0", "igc"]
