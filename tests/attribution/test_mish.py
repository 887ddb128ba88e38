"""Mish from one exponential against torch's own."""

from __future__ import annotations

import pytest
import torch

from igc.attribution.mish import PIECE, mish, mish_with_slope


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_values_and_slopes_are_those_of_torch(dtype, tolerance):
    x = torch.cat([torch.linspace(-120, 120, PIECE, dtype=dtype), torch.linspace(-4, 4, 77, dtype=dtype)])
    x = x.requires_grad_()
    expected = torch.nn.functional.mish(x)
    (slope,) = torch.autograd.grad(expected.sum(), x)
    values, slopes = mish_with_slope(x.detach())
    torch.testing.assert_close(values, expected.detach(), rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(slopes, slope, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(mish(x.detach()), values, rtol=0, atol=0)


def test_shape_and_order_of_the_input_are_kept():
    x = torch.randn(5, 3, 4, dtype=torch.float64).transpose(0, 2)
    torch.testing.assert_close(mish(x), torch.nn.functional.mish(x))
    assert mish(x[:0]).shape == (0, 3, 5)
