"""Every registered method earns the whole contract."""

import pytest

from igc.attribution.registry import METHODS
from igc.testing.contract import CHECKS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(METHODS))
def test_method_keeps_the_contract(name, check):
    check(name)
