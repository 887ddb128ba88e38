"""The Natural Scenes Dataset: its files, read as they are on disk, and small files of the same formats."""
