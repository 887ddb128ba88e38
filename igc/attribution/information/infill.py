"""Parts of inputs filled in from the training sample whose rest is closest, whatever the shape of the parts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["neighbour_infill"]

Values = npt.NDArray[np.float64]
Fill = Callable[[npt.NDArray[np.bool_], npt.NDArray[np.int64]], Values]


def neighbour_infill(bank: npt.ArrayLike) -> Callable[[npt.ArrayLike], Fill]:
    """Return what fills parts of inputs in from other samples.

    Every part is a real one, so that a filled input looks like others of its kind, and any set of components may be
    missing: none of this holds for a constant, and a patch sampler knows patches alone.

    Parameters
    ----------
    bank : array (sample, component...)
        Samples to fill in from; not the ones that are filled.

    Returns
    -------
    callable
        Given inputs (sample, component...) it returns a function of which parts are missing (copy, component...) and
        of the position of each copy's sample (copy,), which returns the filled copies. Where nothing is left of a
        sample, its position says which of the bank is put in.
    """
    shaped = np.asarray(bank, dtype=np.float64)
    samples = shaped.reshape(len(shaped), -1)
    squares = samples**2

    def prepare(inputs: npt.ArrayLike) -> Fill:
        given = np.asarray(inputs, dtype=np.float64)
        flat = given.reshape(len(given), -1)

        def fill(missing: npt.NDArray[np.bool_], which: npt.NDArray[np.int64]) -> Values:
            gone = np.asarray(missing, dtype=bool).reshape(len(which), -1)
            kept = (~gone).astype(np.float64)
            # the squared distance of what is left, but for the part that is the same for all samples of the bank
            distance = kept @ squares.T - 2 * (flat[which] * kept) @ samples.T
            closest = distance.argmin(axis=1)
            # nothing is left to be close to: each sample gets another one, not all of them the first of the bank
            empty = ~kept.any(axis=1)
            closest[empty] = np.asarray(which)[empty] % len(samples)
            nearest = samples[closest]
            return np.asarray(np.where(gone, nearest, flat[which]).reshape(len(which), *given.shape[1:]))

        return fill

    return prepare
