import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from igc.config import Training
from igc.errors import DataError, ModelError
from igc.models import ARCHITECTURES, register_architecture
from igc.models.batches import SampleSource
from igc.models.devices import accelerator_of
from igc.models.training import FitResult, NetworkPlan, fit_network, split_rows
from igc.seeding import integer_seed
from igc.store.samples import open_samples
from tests.models.stores import classes, regression, write_samples

SMALL = {"width": 16, "input_dropout": 0.1, "dropout": 0.2}


def plan(categories: bool, n_targets: int, p: int, seed: int = 0, **training: Any) -> NetworkPlan:
    settings = Training(**{"epochs": 6, "batch_size": 16, "patience": 6, "validation": 0.2, **training})
    return NetworkPlan("residual_mlp", SMALL, (p,), n_targets, categories, settings, seed)


@pytest.fixture
def labelled(tmp_path: Path) -> SampleSource:
    x, y = classes(180)
    return SampleSource(open_samples(write_samples(tmp_path / "s.zarr", x, y, np.zeros(180), categories=True)))


GROUPS = np.arange(180) // 15


def fit(source: SampleSource, what: NetworkPlan, **options: Any) -> FitResult:
    return fit_network(what, source, GROUPS[: len(source.samples["inputs"])], np.arange(150), device="cpu", **options)


def weights(result: FitResult) -> torch.Tensor:
    return torch.cat([tensor.double().flatten() for tensor in result.module.state_dict().values()])


def test_the_split_for_early_stopping_shares_no_group_with_the_fit() -> None:
    rows = np.flatnonzero(GROUPS != 3)
    fitting, validation = split_rows(rows, GROUPS, 0.2, 0)
    assert set(GROUPS[fitting]).isdisjoint(GROUPS[validation])
    assert sorted([*fitting, *validation]) == rows.tolist()


def test_it_learns_categories_and_keeps_the_weights_of_the_best_epoch(labelled: SampleSource) -> None:
    result = fit(labelled, plan(True, 3, 5, learning_rate=1e-2, epochs=15, patience=15))
    x, y = labelled.read(np.arange(150, 180))
    assert (result.module(x).argmax(1) == y.argmax(1)).double().mean() > 0.8
    best = min(row["validation_loss"] for row in result.history)
    _, check = split_rows(np.arange(150), GROUPS, 0.2, integer_seed(0, "validation", 0))
    x, y = labelled.read(check)
    assert torch.nn.functional.cross_entropy(result.module(x), y).item() == pytest.approx(best, rel=1e-4)


def test_training_repeats_bit_by_bit_and_depends_on_the_seed_and_the_fold(labelled: SampleSource) -> None:
    first = fit(labelled, plan(True, 3, 5))
    torch.rand(17)
    assert torch.equal(weights(first), weights(fit(labelled, plan(True, 3, 5))))
    assert not torch.equal(weights(first), weights(fit(labelled, plan(True, 3, 5, seed=1))))
    assert not torch.equal(weights(first), weights(fit(labelled, plan(True, 3, 5), fold=1)))


class InterruptedTrainingError(RuntimeError):
    pass


@pytest.mark.parametrize("stop", [1, 3])
def test_an_interrupted_training_continues_to_the_same_weights(
    labelled: SampleSource, tmp_path: Path, stop: int
) -> None:
    what = plan(True, 3, 5, input_noise=0.1)
    whole = fit(labelled, what)

    def interrupt(epoch: int, loss: float) -> None:
        if epoch == stop:
            raise InterruptedTrainingError

    epochs: list[int] = []
    with pytest.raises(InterruptedTrainingError):
        fit(labelled, what, scratch=tmp_path / "scratch", report=interrupt)
    resumed = fit(labelled, what, scratch=tmp_path / "scratch", report=lambda epoch, loss: epochs.append(epoch))
    assert epochs == list(range(stop, 6))
    assert resumed.history == whole.history
    assert torch.equal(weights(resumed), weights(whole))


def test_a_finished_training_is_not_repeated(labelled: SampleSource, tmp_path: Path) -> None:
    epochs: list[int] = []
    options: dict[str, Any] = {"scratch": tmp_path, "report": lambda epoch, loss: epochs.append(epoch)}
    first, second = (fit(labelled, plan(True, 3, 5), **options) for _ in range(2))
    assert epochs == list(range(6))
    assert torch.equal(weights(first), weights(second))
    assert first.history == second.history


def test_a_training_that_stopped_early_stays_stopped(labelled: SampleSource, tmp_path: Path) -> None:
    early = plan(True, 3, 5, learning_rate=0.3, patience=1, epochs=30)
    first = fit(labelled, early, scratch=tmp_path)
    assert len(first.history) < 30
    (tmp_path / "done" / "model.json").unlink()  # killed after the last epoch, before the result was kept
    second = fit(labelled, early, scratch=tmp_path)
    assert second.history == first.history
    assert torch.equal(weights(first), weights(second))


def test_a_checkpoint_that_would_run_code_is_refused(labelled: SampleSource, tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
            return (Path(tmp_path / "owned").touch, ())

    torch.save({"state_dict": Payload()}, tmp_path / "last.ckpt")
    with pytest.raises(ModelError, match=r"last\.ckpt: found an unreadable checkpoint"):
        fit(labelled, plan(True, 3, 5), scratch=tmp_path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(("architecture", "arguments"), [("residual_mlp", SMALL), ("linear", {})])
def test_the_unit_of_the_responses_does_not_matter(
    tmp_path: Path, architecture: str, arguments: dict[str, Any]
) -> None:
    x, y = regression(180, 4, 2)
    factor, offset = np.array([1e-3, 1e3]), np.array([2.0, -5e3])
    settings = Training(epochs=12, batch_size=16, learning_rate=1e-2, patience=12, validation=0.2)
    what = NetworkPlan(architecture, arguments, (4,), 2, False, settings, 0)
    outputs = []
    for i, responses in enumerate((y, y * factor + offset)):
        samples = open_samples(write_samples(tmp_path / f"{i}.zarr", x, responses, np.zeros(180)))
        result = fit(SampleSource(samples), what)
        outputs.append(result.module(torch.from_numpy(x[150:]).float()).double().numpy())
        assert result.history[-1]["metric"] == pytest.approx(1 - result.history[-1]["validation_loss"])
    spread = outputs[0].std(axis=0)
    np.testing.assert_allclose((outputs[1] - offset) / factor / spread, outputs[0] / spread, atol=0.02)


def test_a_module_without_a_readout_learns_values_in_their_own_unit(tmp_path: Path) -> None:
    @register_architecture("of_a_test")
    def own(input_shape: tuple[int, ...], n_targets: int) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(input_shape[0], 8), torch.nn.Tanh(), torch.nn.Linear(8, n_targets))

    x, y = regression(180, 4, 2)
    source = SampleSource(open_samples(write_samples(tmp_path / "s.zarr", x - 3.0, y - 10.0, np.zeros(180))))
    settings = Training(epochs=20, batch_size=8, learning_rate=3e-2, patience=20, validation=0.2)
    try:
        result = fit(source, NetworkPlan("of_a_test", {}, (4,), 2, False, settings, 0))
    finally:
        ARCHITECTURES.pop("of_a_test")
    inputs, truth = source.read(np.arange(150, 180))
    assert ((result.module(inputs) - truth).square().mean(0) < 0.6 * truth.var(0)).all()


def test_nothing_is_left_behind(labelled: SampleSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = sorted(tmp_path.rglob("*"))
    torch.manual_seed(4)
    expected = torch.rand(1)
    torch.manual_seed(4)
    fit(labelled, plan(True, 3, 5, epochs=1))
    assert torch.equal(torch.rand(1), expected)
    assert sorted(tmp_path.rglob("*")) == before


def test_training_is_silent(labelled: SampleSource, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(labelled, plan(True, 3, 5, epochs=2))
    assert capfd.readouterr() == ("", "")


def test_a_diverging_training_is_reported(labelled: SampleSource) -> None:
    with pytest.raises(ModelError, match=r"lower training\.learning_rate"):
        fit(labelled, plan(True, 3, 5, learning_rate=1e30))


def test_one_training_group_is_refused(labelled: SampleSource) -> None:
    with pytest.raises(DataError, match="one group only"):
        fit_network(plan(True, 3, 5), labelled, np.zeros(180, dtype=np.int64), np.arange(150), device="cpu")


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ModelError, match="device: found 'abacus'"):
        accelerator_of("abacus")
