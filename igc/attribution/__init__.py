"""Attribution methods: what a model makes of its inputs, by sample and over a dataset. No scheduler, no files."""
