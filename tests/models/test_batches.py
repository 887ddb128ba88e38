from pathlib import Path

import numpy as np
import pytest
import torch

from igc.models import batches as module
from igc.models.batches import Batches, SampleSource, feature_statistics
from igc.store.samples import open_samples
from tests.models.stores import write_samples


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SampleSource:
    """500 samples, each holding its own number, in chunks of 40."""
    monkeypatch.setattr("igc.store.arrays.CHUNK_BYTES", 40 * 4 * 3)
    numbers = np.arange(500.0)[:, None]
    path = write_samples(tmp_path / "samples.zarr", numbers + np.array([0, 0.25, 0.5]), numbers, np.zeros(500))
    return SampleSource(open_samples(path))


def lazy(source: SampleSource, samples: int) -> SampleSource:
    return SampleSource(source.samples, budget=source.row_bytes * samples * 4)


@pytest.mark.parametrize("samples", [7, 40, 100])
def test_pages_hold_no_more_than_the_budget_allows_and_all_rows(source: SampleSource, samples: int) -> None:
    rows = np.flatnonzero(np.arange(500) % 3 > 0)
    pages = lazy(source, samples).pages(rows)
    assert len(source.pages(rows)) == 1
    assert max(map(len, pages)) <= samples
    np.testing.assert_array_equal(np.concatenate(pages), rows)


@pytest.mark.parametrize("samples", [7, 40, 100])
def test_reading_in_order_does_not_depend_on_the_memory(source: SampleSource, samples: int) -> None:
    rows = np.flatnonzero(np.arange(500) % 3 > 0)
    for inputs, responses in Batches(lazy(source, samples), rows, 16):
        torch.testing.assert_close(inputs[:, :1], responses)
    parts = [responses for _, responses in Batches(lazy(source, samples), rows, 16)]
    assert torch.cat(parts)[:, 0].tolist() == rows.tolist()
    assert len(parts) == len(Batches(lazy(source, samples), rows, 16))


@pytest.mark.parametrize("samples", [None, 40, 120])
def test_an_epoch_is_shuffled_by_seed_and_number_and_repeats_no_sample(
    source: SampleSource, samples: int | None
) -> None:
    used = source if samples is None else lazy(source, samples)
    batches = Batches(used, np.arange(500), 16, seed=3)
    first = [responses[:, 0].tolist() for _, responses in batches]
    again = [responses[:, 0].tolist() for _, responses in batches]
    batches.epoch = 1
    second = [responses[:, 0].tolist() for _, responses in batches]
    flat = np.concatenate(first)
    assert first == again != second
    assert {len(batch) for batch in first} == {16}
    assert len(np.unique(flat)) == len(flat) == 16 * len(batches)
    assert not np.array_equal(np.sort(flat), flat)


def test_fewer_rows_than_a_batch_still_make_one(source: SampleSource) -> None:
    assert [len(y) for _, y in Batches(source, np.arange(5), 16, seed=0)] == [5]


@pytest.mark.parametrize("samples", [None, 33])
def test_statistics_are_those_of_numpy(tmp_path: Path, samples: int | None) -> None:
    x = np.random.default_rng(0).normal(1e3, 1.0, (90, 2, 3, 4)).astype(np.float32)
    y = np.random.default_rng(1).normal(5.0, 2.0, (90, 2)).astype(np.float32)
    source = SampleSource(open_samples(write_samples(tmp_path / "s.zarr", x, y, np.zeros(90))))
    used = source if samples is None else lazy(source, samples)
    rows = np.arange(10, 90)
    mean, scale, response_mean, response_scale = feature_statistics(Batches(used, rows, 7), by_channel=True)
    np.testing.assert_allclose(mean, x[10:].astype(float).mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(scale, x[10:].astype(float).std(axis=(0, 2, 3)), rtol=1e-10)
    np.testing.assert_allclose(response_mean, y[10:].astype(float).mean(axis=0))
    np.testing.assert_allclose(response_scale, y[10:].astype(float).std(axis=0), rtol=1e-10)
    by_component = feature_statistics(Batches(used, rows, 7), by_channel=False)
    np.testing.assert_allclose(by_component[1], x[10:].reshape(80, -1).astype(float).std(axis=0), rtol=1e-10)


def test_the_budget_is_a_gibibyte() -> None:
    assert module.MEMORY_BUDGET == 2**30
