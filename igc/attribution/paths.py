"""Quadrature on [0, 1] as data: nodes with the weights of a rule and of the coarser rule inside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from igc.errors import MethodError, explain

__all__ = ["Quadrature", "gauss_kronrod", "gauss_legendre"]

# Abscissae and weights of the 15-point Kronrod rule and of the 7-point Gauss rule it contains (QUADPACK, 1983).
_KRONROD_NODES = (
    0.991455371120812639206854697526329,
    0.949107912342758524526189684047851,
    0.864864423359769072789712788640926,
    0.741531185599394439863864773280788,
    0.586087235467691130294144691258413,
    0.405845151377397166906606412076961,
    0.207784955007898467600689403773245,
    0.0,
)
_KRONROD_WEIGHTS = (
    0.022935322010529224963732008058970,
    0.063092092629978553290700663189204,
    0.104790010322250183839876322541518,
    0.140653259715525918745189590510238,
    0.169004726639267902826583426598550,
    0.190350578064785409913256402421014,
    0.204432940075298892414161999234649,
    0.209482141084727828012999174891714,
)
_GAUSS_WEIGHTS = (
    0.0,
    0.129484966168869693270611432679082,
    0.0,
    0.279705391489276667901467771423780,
    0.0,
    0.381830050505118944950369775488975,
    0.0,
    0.417959183673469387755102040816327,
)

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Quadrature:
    """A rule for integrals over [0, 1].

    Attributes
    ----------
    nodes : array (node,)
        Where the integrand is needed.
    weights : array (node,)
        Weights of the rule; they sum to 1.
    coarse_weights : array (node,)
        Weights of a coarser rule on the same nodes, whose difference tells the error; equal to ``weights`` where the
        rule has none.
    """

    nodes: Values
    weights: Values
    coarse_weights: Values


def gauss_legendre(n_nodes: int) -> Quadrature:
    """Return the Gauss-Legendre rule, exact for polynomials up to degree 2 n_nodes - 1.

    Parameters
    ----------
    n_nodes : int
        Number of nodes, at least 1.

    Returns
    -------
    Quadrature
    """
    if n_nodes < 1:
        raise MethodError(explain("nodes", n_nodes, "at least 1", "give more points"))
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    return Quadrature((nodes + 1) / 2, weights / 2, weights / 2)


def gauss_kronrod(n_panels: int = 1) -> Quadrature:
    """Return the 7-15 Gauss-Kronrod rule on equal panels.

    Parameters
    ----------
    n_panels : int
        Number of panels; each takes 15 nodes.

    Returns
    -------
    Quadrature
    """

    def mirrored(half: tuple[float, ...], sign: float) -> Values:
        values = np.asarray(half)
        return np.concatenate([sign * values[:-1], values[::-1]])

    nodes = (mirrored(_KRONROD_NODES, -1.0) + 1) / 2
    weights, coarse = mirrored(_KRONROD_WEIGHTS, 1.0) / 2, mirrored(_GAUSS_WEIGHTS, 1.0) / 2
    starts = np.arange(n_panels)[:, None]
    return Quadrature(
        ((starts + nodes) / n_panels).ravel(),
        np.tile(weights, n_panels) / n_panels,
        np.tile(coarse, n_panels) / n_panels,
    )
