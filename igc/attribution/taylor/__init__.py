"""The Taylor attribution framework: what a model does between baseline and input, term by term (arXiv 2008.09695)."""

from igc.attribution.taylor.decompose import Decomposition, decompose

__all__ = ["Decomposition", "decompose"]
