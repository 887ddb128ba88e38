import numpy as np
import pytest

from igc.attribution.paths import gauss_kronrod, gauss_legendre
from igc.errors import MethodError


@pytest.mark.parametrize("panels", [1, 3])
def test_kronrod_is_exact_to_degree_22_and_its_gauss_rule_to_13(panels):
    rule = gauss_kronrod(panels)
    for degree in range(23):
        assert rule.weights @ rule.nodes**degree == pytest.approx(1 / (degree + 1), abs=1e-14)
        if degree < 14:
            assert rule.coarse_weights @ rule.nodes**degree == pytest.approx(1 / (degree + 1), abs=1e-14)
    if panels == 1:
        assert abs(rule.coarse_weights @ rule.nodes**14 - 1 / 15) > 1e-12


def test_nodes_increase_and_lie_inside():
    nodes = gauss_kronrod(4).nodes
    assert np.all(np.diff(nodes) > 0)
    assert nodes[0] > 0
    assert nodes[-1] < 1


@pytest.mark.parametrize("n", [1, 2, 9])
def test_gauss_legendre_is_exact_to_its_degree(n):
    rule = gauss_legendre(n)
    for degree in range(2 * n):
        assert rule.weights @ rule.nodes**degree == pytest.approx(1 / (degree + 1), abs=1e-13)


def test_no_node_is_refused():
    with pytest.raises(MethodError, match="at least 1"):
        gauss_legendre(0)
