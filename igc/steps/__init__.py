"""One small function per step of the workflow; the command line has one verb for each."""
