"""Point-wise mutual information and information gain (arXiv 2009.11150): what a prediction loses with a block."""
