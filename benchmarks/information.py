"""Point-wise mutual information on MNIST: model evaluations a second, against the bare model and a patch-by-patch loop.

Run after the default studies: ``python benchmarks/information.py results/mnist cnn-seed0 patches``.

The bare model runs at its best batch size on images in memory. The loop does what the published program does: patch by
patch and image by image, one batch of fills for each, every pixel drawn by itself with one call of numpy. Draws and
model calls are equal, so that fills that equal the original are not skipped in the comparison of the two; how many
there are is printed beside it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import igc
from igc.attribution.gradients import Outputs
from igc.attribution.information.blocks import patch_blocks
from igc.attribution.information.files import load_sampler
from igc.attribution.information.fills import Fills
from igc.attribution.information.predictive import Categories, Measure
from igc.store.arrays import read_values


class Timed:
    """Adds up the time spent in a function, and the rows it is given."""

    def __init__(self, function):
        self.function, self.seconds, self.rows = function, 0.0, 0

    def __call__(self, *arguments):
        started = time.perf_counter()
        result = self.function(*arguments)
        self.seconds += time.perf_counter() - started
        self.rows += len(arguments[0])
        return result


class TimedSampler:
    """A sampler whose fills are timed; without skipping, no block counts as certain and no fill as unchanged."""

    def __init__(self, sampler, skipping=True):
        self._sampler, self.seconds, self._skipping = sampler, 0.0, skipping

    def __getattr__(self, name):
        return getattr(self._sampler, name)

    @property
    def constant(self):
        found = self._sampler.constant
        return found if self._skipping else torch.full_like(found, torch.nan)

    def fill(self, *arguments):
        started = time.perf_counter()
        found = self._sampler.fill(*arguments)
        if not self._skipping:
            found = found + 1e-6  # invisible to the model, but no copy of the original
        self.seconds += time.perf_counter() - started
        return found


def bare_rate(model, images, seconds=3.0):
    """Return the best rate of the model alone over batch sizes, and the batch size."""
    best = (0.0, 0)
    for size in (64, 128, 256, 512, 1024):
        batch = images[torch.arange(size) % len(images)]
        with torch.no_grad():
            model(batch)
            started, done = time.perf_counter(), 0
            while time.perf_counter() - started < seconds / 5:
                model(batch)
                done += size
        best = max(best, (done / (time.perf_counter() - started), size))
    return best


def engine(model, sampler, images, patch, stride, batch_size):
    """Explain images by the engine; return seconds, seconds in the sampler and the tally."""
    timed = Timed(model)
    measure = Measure(Categories(), "gain")
    fills = Fills(
        Outputs(timed), sampler, patch_blocks([images.shape[1:]], patch, stride), measure, measure, 0, batch_size
    )
    started = time.perf_counter()
    draws = evaluations = 0
    for part in fills.batches(len(images), 10):
        some = images[part]
        for found in fills.run((some,), np.arange(len(images))[part], torch.zeros(len(some), 10)):
            draws, evaluations = draws + found.tally.draws, evaluations + found.tally.evaluations
    return time.perf_counter() - started, timed.seconds, draws, evaluations


def loop(model, filler, images, patch, stride, draws):
    """Explain images patch by patch; return seconds and seconds in drawing."""
    network = filler.network
    blocks = patch_blocks([images.shape[1:]], patch, stride).members
    values = network.values[0].numpy()
    started, drawing = time.perf_counter(), 0.0
    random = np.random.default_rng(0)
    with torch.no_grad():
        for image in images:
            torch.softmax(model(image[None]), dim=1)
            padded = network.surround(image[None])
            for block in blocks:
                here = time.perf_counter()
                place = torch.tensor([int(block[0]) // 28]), torch.tensor([int(block[0]) % 28])
                features = network.context(network.window(padded, *place))
                chances = torch.softmax(network._logits(features).double(), dim=-1)[0].numpy()
                fills = np.stack([values[random.choice(len(c), draws, p=c / c.sum())] for c in chances], axis=1)
                drawing += time.perf_counter() - here
                batch = image.reshape(1, -1).repeat(draws, 1)
                batch[:, torch.as_tensor(block)] = torch.as_tensor(fills, dtype=batch.dtype)
                torch.softmax(model(batch.reshape(draws, *image.shape)), dim=1).mean(dim=0).log()
    return time.perf_counter() - started, drawing


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study")
    parser.add_argument("model")
    parser.add_argument("sampler", help="name under samplers/, or a folder")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--stride", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    study = Path(arguments.study)
    samples = igc.open_samples(study / "samples.zarr")
    rows = np.flatnonzero(samples["fold"].values == 0)[: arguments.samples]
    images = torch.as_tensor(read_values(samples["inputs"], rows)).float()
    model = igc.load_model(study / "models" / arguments.model)
    folder = study / "samplers" / arguments.sampler
    filler = load_sampler(folder if folder.is_dir() else arguments.sampler)
    rate, size = bare_rate(model, images)
    print(f"bare model: {rate:.0f} evaluations a second, best batch {size}")
    for skipping in (False, True):
        sampler = TimedSampler(filler, skipping)
        seconds, inside, draws, evaluations = engine(model, sampler, images, filler.patch, arguments.stride, size)
        again, _ = bare_rate(model, images)
        rest = seconds - sampler.seconds
        print(
            f"engine, {'fills that change nothing skipped' if skipping else 'every fill predicted'}: "
            f"{seconds / len(images):.3f} s an image, {sampler.seconds / len(images):.3f} of it sampling; "
            f"{evaluations} of {draws} fills predicted; without sampling {evaluations / rest:.0f} a second, "
            f"{evaluations / rest / again:.2f} of the bare model; inside the model {inside / rest:.2f} of that time"
        )
        if not skipping:
            full = seconds, sampler.seconds
    few = images[: max(1, len(images) // 8)]
    slow, drawing = loop(model, filler, few, filler.patch, arguments.stride, 16)
    print(f"patch by patch: {slow / len(few):.3f} s an image, {drawing / len(few):.3f} of it sampling")
    ratio = slow / len(few) / (full[0] / len(images))
    apart = (slow - drawing) / len(few) / ((full[0] - full[1]) / len(images))
    print(f"engine against it, at equal draws and calls: {ratio:.1f} x, without sampling {apart:.1f} x")


if __name__ == "__main__":
    main()
