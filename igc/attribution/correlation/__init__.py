"""Integrated Gradient Correlation (arXiv 2404.13910): dataset-wise maps that sum to the model's correlation."""
