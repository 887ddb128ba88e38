"""Information bottlenecks: what of a layer, or of the input, a prediction needs (arXiv 2001.00396, 2110.01471)."""
