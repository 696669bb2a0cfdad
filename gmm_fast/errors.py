"""The package's own exceptions; the class decides the exit status of the command line."""


class DataError(ValueError):
    """The data or the call is wrong (exit status 2); the message says what to do."""


class ModelFileError(DataError):
    """A model file cannot be read (exit status 2)."""


class FitError(RuntimeError):
    """The work itself failed: no result could be computed or stored (exit status 1)."""
