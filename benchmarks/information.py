"""Point-wise mutual information on MNIST: model evaluations a second, against the bare model and a patch-by-patch loop.

Run after the default studies: ``python benchmarks/information.py results/mnist cnn-seed0 patches``.

The bare model runs at its best batch size on images in memory. The loop does what the published program does: patch by
patch and image by image, one batch of fills for each, every pixel drawn by itself with one call of numpy. Draws and
predictions are equal, so that fills that equal the original are not skipped in the comparison of the two; how many
there are is printed beside it. All are run in turn, several times, and medians are printed.
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


def bare_rate(model, images, seconds=2.0):
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
    """Explain images by the engine; return seconds, draws and predictions."""
    measure = Measure(Categories(), "gain")
    blocks = patch_blocks([images.shape[1:]], patch, stride)
    fills = Fills(Outputs(model), sampler, blocks, measure, measure, 0, batch_size)
    started = time.perf_counter()
    draws = evaluations = 0
    for part in fills.batches(len(images), 10):
        some = images[part]
        for found in fills.run((some,), np.arange(len(images))[part], torch.zeros(len(some), 10)):
            draws, evaluations = draws + found.tally.draws, evaluations + found.tally.evaluations
    return time.perf_counter() - started, draws, evaluations


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
    parser.add_argument("--loop", type=int, default=4, help="images of the loop")
    parser.add_argument("--rounds", type=int, default=5)
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
    few = images[: arguments.loop]
    rounds = [one_round(model, filler, images, few, arguments.stride) for _ in range(arguments.rounds)]
    found = {name: float(np.median([one[name] for one in rounds])) for name in rounds[0]}
    for name, value in found.items():
        print(f"{name:72s} {value:.4g}")


def one_round(model, filler, images, few, stride):
    """Run the model alone, the loop and the engine in turn; return what was measured, by name."""
    rate, size = bare_rate(model, images)
    slow, drawing = (seconds / len(few) for seconds in loop(model, filler, few, filler.patch, stride, 16))
    told = {"bare model, predictions a second": rate, "its best batch": size}
    told |= {"loop, seconds an image": slow, "of it sampling": drawing}
    for label, explained, skipping in (
        ("engine, every fill predicted", model, False),
        ("engine, unchanged fills skipped", model, True),
        ("engine, a black box", lambda x: model(x), False),
    ):
        sampler = TimedSampler(filler, skipping)
        seconds, draws, evaluations = engine(explained, sampler, images, filler.patch, stride, size)
        whole, inside = seconds / len(images), sampler.seconds / len(images)
        told[f"{label}: seconds an image"] = whole
        told[f"{label}: of it sampling"] = inside
        told[f"{label}: predictions an image"] = evaluations / len(images)
        told[f"{label}: share of the fills asked for"] = evaluations / draws
        told[f"{label}: predictions a second over the bare model, sampling apart"] = (
            evaluations / (seconds - sampler.seconds) / rate
        )
        told[f"{label}: faster than the loop"] = slow / whole
        told[f"{label}: faster than the loop, sampling apart"] = (slow - drawing) / (whole - inside)
        told[f"{label}: sampling faster than the loop's"] = drawing / inside
    return told


if __name__ == "__main__":
    main()
