import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from igc.stats.ranks import average_ranks

VALUES = arrays.arrays(np.float64, arrays.array_shapes(max_dims=3), elements=st.integers(-4, 4).map(float))


@given(VALUES)
def test_ranks_are_those_of_scipy_with_ties_and_along_the_last_axis(values):
    np.testing.assert_array_equal(average_ranks(values), stats.rankdata(values, axis=-1))


def test_values_that_are_not_known_have_no_rank():
    np.testing.assert_array_equal(average_ranks([2.0, np.nan, 1.0]), [2.0, np.nan, 1.0])
