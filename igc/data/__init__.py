"""Where samples come from: every kind of dataset is opened as a :class:`igc.data.source.Source` and written once."""
