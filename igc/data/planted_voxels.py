"""The plan of the simulated fMRI: which voxels see what, and the exact best predictors that follow from it.

Voxels look at an image through centre-surround receptive fields. Everything is linear and Gaussian, so covariances,
and with them the best weights of every voxel, are known without a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from igc.data.planted import Planted
from igc.data.simulated import spectrum_gain
from igc.errors import DataError, explain

__all__ = ["NOISE", "REGIONS", "RESPONSE_NOISE", "TARGETS", "VoxelPlan", "planted_voxels", "voxel_plan"]

Array = npt.NDArray[np.float64]

TARGETS = ("sum", "product")
"""What is predicted: the sum of two regions' signals, and the product of two others'."""

REGIONS = ("unique", "original", "copies", "suppressors", "first partner", "second partner", "unrelated")
"""The planted regions, of equally many voxels, in the order of the voxels; as many voxels of noise follow."""

NOISE = 0.5
"""Standard deviation of the noise that a voxel has for itself; its signal and the shared nuisance have 1."""

RESPONSE_NOISE = 0.5
"""Standard deviation of the noise of a response, whose signal has 1."""

_CENTRES = {
    "unique": (-0.25, 0.25),
    "original": (0.25, 0.25),
    "first partner": (-0.25, -0.25),
    "second partner": (0.25, -0.25),
    "unrelated": (0.0, 0.0),
}
_CENTRE, _SURROUND, _RADIUS = 0.06, 0.12, 0.08


@dataclass(frozen=True, eq=False)
class VoxelPlan:
    """Who sees what.

    Attributes
    ----------
    fields : array (field, row, column)
        Receptive fields; each has a response of mean 0 and variance 1 to the simulated images.
    field_covariance : array (field, field)
        Exact covariance of these responses.
    loading : array (voxel, field)
        1 where a voxel has a receptive field.
    nuisance : array (voxel,)
        1 for voxels that carry the shared nuisance: ``unique`` and ``suppressors``.
    noise : array of int (voxel,)
        Which noise a voxel has: copies have that of their originals.
    signals : dict of str to array (field,)
        The mean field of a region, scaled to a response of variance 1.
    regions : array of int32 (voxel,)
        Code of the planted region, 0 for voxels of noise.
    """

    fields: Array
    field_covariance: Array
    loading: Array
    nuisance: Array
    noise: npt.NDArray[np.int64]
    signals: dict[str, Array]
    regions: npt.NDArray[np.int32]

    @property
    def covariance(self) -> Array:
        """Exact covariance of the voxels, (voxel, voxel)."""
        seen = self.loading @ self.field_covariance @ self.loading.T
        own = self.noise[:, np.newaxis] == self.noise
        return np.asarray(seen + np.outer(self.nuisance, self.nuisance) + NOISE**2 * own)

    def weights(self, signal: Array) -> Array:
        """Return the weights of the voxels that predict a signal best, (voxel,).

        Parameters
        ----------
        signal : array (field,)
            Weights of the fields' responses.

        Returns
        -------
        array (voxel,)
            Of all best ones the smallest: what copies share, they share equally.
        """
        with_voxels = self.loading @ self.field_covariance @ signal
        return np.asarray(np.linalg.pinv(self.covariance, rcond=1e-10, hermitian=True) @ with_voxels)

    @property
    def sum_signal(self) -> Array:
        """Weights of the fields in the target ``sum``, of variance 1, (field,)."""
        return _unit(self.signals["unique"] + self.signals["original"], self.field_covariance)


def _unit(signal: Array, covariance: Array) -> Array:
    return np.asarray(signal / np.sqrt(signal @ covariance @ signal))


def _field(size: int, x: float, y: float) -> Array:
    """Return a centre minus its surround, (row, column), with a sum of 0: uniform light says nothing."""
    axis = (np.arange(size) - (size - 1) / 2) / size
    # images wrap around their edges, and so do fields
    dx, dy = (np.abs(one) for one in (axis[np.newaxis, :] - x, -axis[:, np.newaxis] - y))
    squared = np.minimum(dx, 1 - dx) ** 2 + np.minimum(dy, 1 - dy) ** 2
    centre, surround = (np.exp(-squared / (2 * sigma**2)) for sigma in (_CENTRE, _SURROUND))
    return np.asarray(centre / centre.sum() - surround / surround.sum())


def _fields(size: int, count: int, gain: Array) -> tuple[Array, Array]:
    """Return the fields of all regions, on a circle around each region's centre, and their exact covariance."""
    angles = 2 * np.pi * np.arange(count) / count
    places = [(x + _RADIUS * np.cos(a), y + _RADIUS * np.sin(a)) for x, y in _CENTRES.values() for a in angles]
    fields = np.stack([_field(size, x, y) for x, y in places])
    spectra = (np.fft.fft2(fields, norm="ortho") * gain).reshape(len(fields), -1)
    covariance = np.real(spectra @ spectra.conj().T)
    scale = np.sqrt(np.diag(covariance))
    return fields / scale[:, np.newaxis, np.newaxis], np.asarray(covariance / np.outer(scale, scale))


@lru_cache(maxsize=4)
def voxel_plan(size: int) -> VoxelPlan:
    """Make the plan for images of a size.

    Parameters
    ----------
    size : int
        Height and width of the images in pixels, a multiple of 4. Each of eight groups (the regions and the noise) has
        a quarter as many voxels.

    Returns
    -------
    VoxelPlan

    Raises
    ------
    DataError
        If the size is not a multiple of 4.
    """
    if size % 4:
        raise DataError(explain("data.size", size, "a multiple of 4 for experiment fmri", "choose another size"))
    count = size // 4
    fields, covariance = _fields(size, count, spectrum_gain(size))
    own = {name: np.arange(len(fields)) // count == i for i, name in enumerate(_CENTRES)}
    sees = {name: np.eye(len(fields))[inside] for name, inside in own.items()}
    sees |= {"copies": sees["original"], "suppressors": np.zeros((count, len(fields)))}
    regions = np.append(np.repeat(np.arange(1, len(REGIONS) + 1), count), np.zeros(count)).astype(np.int32)
    noise = np.arange(len(regions))
    noise[regions == 3] = noise[regions == 2]
    return VoxelPlan(
        fields=fields,
        field_covariance=covariance,
        loading=np.concatenate([*(sees[name] for name in REGIONS), np.zeros((count, len(fields)))]),
        nuisance=np.isin(regions, (1, 4)).astype(np.float64),
        noise=noise,
        signals={name: _unit(inside.astype(np.float64), covariance) for name, inside in own.items()},
        regions=regions,
    )


def planted_voxels(size: int) -> Planted:
    """Return the known answer: the best weights of every voxel.

    Parameters
    ----------
    size : int
        As for :func:`voxel_plan`.

    Returns
    -------
    Planted
        ``truth`` (target, voxel): for ``sum`` the best weights, for ``product`` the sum of those that predict its two
        factors best. ``regions`` (voxel,).
    """
    plan = voxel_plan(size)
    factors = plan.weights(plan.signals["first partner"]) + plan.weights(plan.signals["second partner"])
    truth = np.stack([plan.weights(plan.sum_signal), factors]).astype(np.float32)
    return Planted(truth, plan.regions, dict(enumerate(REGIONS, start=1)))
