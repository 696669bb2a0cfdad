"""The command line. Commands import heavy modules when they run."""
