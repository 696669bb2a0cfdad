"""Exceptions of this package; their class decides the exit status."""


class DataError(ValueError):
    """The data or the call is wrong (exit status 2); the message says what to do."""


class DataTypeError(DataError, TypeError):
    """The data or the call has a wrong type; also a TypeError, as scikit-learn raises."""


class ChangedError(DataError):
    """A file changed during the work; what was done before is valid and kept."""


class ModelFileError(DataError):
    """A model file cannot be read (exit status 2)."""


class FitError(RuntimeError):
    """The work itself failed: no result could be computed or stored (exit status 1)."""


class Interrupted(BaseException):
    """The work was stopped from outside; what was done so far is kept.

    Parameters
    ----------
    status : int
        Exit status.
    message : str
        How to continue.
    """

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def number_list(numbers, noun):
    """A noun and at most ten numbers, for a message: "components 0, 3"."""
    text = ", ".join(str(k) for k in numbers[:10]) + (", ..." if len(numbers) > 10 else "")
    return f"{noun}{'s' if len(numbers) > 1 else ''} {text}"
