"""What a command is going to write, looked at before the work: what it would replace or join."""

from ..errors import DataError
from ..files.outputs import check_outputs, forbid_replacing
from ..sources.paths import would_read
from . import printing


def check_written(outputs, inputs, settings):
    """As `outputs.check_outputs`, by --no-clobber; says what is going to be replaced.

    Parameters
    ----------
    outputs, inputs
        As of `outputs.check_outputs`.
    settings : dict
        Options by parameter: "no_clobber", and "data" and "format" where there is data.

    Returns
    -------
    context manager
        In which the outputs are to be written.

    Raises
    ------
    DataError
        As `outputs.check_outputs`, or an output that the next run would take for data.
    """
    check_apart(outputs, settings)
    for path in check_outputs(outputs, inputs, replace=not settings["no_clobber"]):
        printing.note(f"{path}: the file that is there is replaced")
    return keeping(outputs, settings["no_clobber"])


def check_apart(outputs, settings):
    """Raise `DataError` for an output that would be one of the files of the data."""
    data = settings.get("data")
    for option, path in outputs.items():
        if None not in (data, path) and would_read(data, path, settings.get("format")):
            raise DataError(
                f"{option} {path}: would be a file of {data}, and data of the next run; give a "
                "path in another folder"
            )


def keeping(outputs, no_clobber):
    """A context in which, with --no-clobber, none of the outputs replaces a file."""
    return forbid_replacing([path for path in outputs.values() if path] if no_clobber else [])
