"""Regions of interest (ROIs): sets of named regions, where they come from, and the table of their attributions."""
