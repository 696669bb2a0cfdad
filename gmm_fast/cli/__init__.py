"""The command line. Commands import what is heavy when they run."""
