"""Experiment A against its closed form: how near maps come to the theory.

``python benchmarks/planted.py results/simulated_a``; any study of the experiment ``weighted_sum`` will do, such as
``results/full_a`` of ``config/simulated.yaml``. A row for each model and method: correlation of its map with the exact
map of the rule itself and with the mask, the relative L2 error and the sum over the centre where the map sums to the
score, and the score.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import igc
from igc.comparison.recovery import weighted_sum_map
from igc.data.simulated import exact_covariance
from igc.store.arrays import read_values


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation of two maps."""
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def smoothed(mask: np.ndarray) -> np.ndarray:
    """Return the covariance of every pixel with the response of the rule, up to a factor."""
    return np.real(np.fft.ifft2(np.fft.fft2(mask) * np.fft.fft2(exact_covariance(len(mask)))))


def main() -> None:
    """Print the theory, and each map beside it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("studies", type=Path, nargs="+", help="folders of studies of the experiment weighted_sum")
    for folder in parser.parse_args().studies:
        samples = igc.open_samples(folder / "samples.zarr")
        mask = read_values(samples["truth"]).astype(np.float64).reshape(samples["inputs"].shape[-2:])
        theory, naive = weighted_sum_map(mask), smoothed(mask)
        split = samples["split"].values
        print(f"{folder.name}: {np.sum(split == 'train')} training and {np.sum(split == 'test')} held-out images")
        print(f"{'theory, with the mask':<44}{correlation(theory, mask):8.4f}")
        print(f"{'exact naive correlation, with the mask':<44}{correlation(naive, mask):8.4f}")
        print(f"sum over the centre, where the mask is negative: {theory[mask < 0].sum():.3f} in theory")
        print(f"{'map':<44}{'theory':>8}{'mask':>8}{'error':>8}{'centre':>8}{'r':>9}")
        for path in sorted(file.parent for file in folder.glob("attributions/*/*.zarr/zarr.json")):
            result = igc.open_result(path)
            found = read_values(result["attribution"]).astype(np.float64).reshape(mask.shape)
            error = np.linalg.norm(found - theory) / np.linalg.norm(theory)
            said = f"{error:8.3f}{found[mask < 0].sum():8.3f}" if result.attrs.get("complete") else f"{'-':>8}{'-':>8}"
            name = f"{path.parent.name} {path.stem}"
            row = f"{correlation(found, theory):8.4f}{correlation(found, mask):8.4f}{said}"
            print(f"{name:<44}{row}{float(result['score'].values[0]):9.5f}")


if __name__ == "__main__":
    main()
