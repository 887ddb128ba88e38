"""Files and folders: what is written, it is written whole, checked by sums and never pickled."""
