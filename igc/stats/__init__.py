"""Statistics on arrays: mergeable moments, correlation, jackknife. No files, no scheduler, no model."""
