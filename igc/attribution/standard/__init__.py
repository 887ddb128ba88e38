"""Methods that explain samples one by one, from the literature: the peers of the four systems."""
