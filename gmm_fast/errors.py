"""The package's own exceptions, whose class decides the exit status, and words of messages."""


class DataError(ValueError):
    """The data or the call is wrong (exit status 2); the message says what to do."""


class DataTypeError(DataError, TypeError):
    """Something of the data or the call is of a wrong type; scikit-learn's is a TypeError, too."""


class ChangedError(DataError):
    """A file changed during the work: no fault of what was done before, which is kept."""


class ModelFileError(DataError):
    """A model file cannot be read (exit status 2)."""


class FitError(RuntimeError):
    """The work itself failed: no result could be computed or stored (exit status 1)."""


class Interrupted(BaseException):
    """The work was stopped from outside and what was done is kept.

    Parameters
    ----------
    status : int
        Exit status.
    message : str
        Says how to go on.
    """

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def some(numbers, noun):
    """At most ten numbers with their noun, for a message."""
    text = ", ".join(str(k) for k in numbers[:10]) + (", ..." if len(numbers) > 10 else "")
    return f"{noun}{'s' if len(numbers) > 1 else ''} {text}"
