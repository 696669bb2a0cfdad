"""Check, before the work, which files a command would replace or mix with its data."""

from ..errors import DataError
from ..files.outputs import check_outputs, forbid_replacing
from ..sources.paths import would_read
from . import printing


def check_written(outputs, inputs, settings):
    """Call `outputs.check_outputs` by --no-clobber, and say which files will be replaced.

    Parameters
    ----------
    outputs, inputs
        As for `outputs.check_outputs`.
    settings : dict
        Options by parameter: "no_clobber", and "data" and "format" where there is data.

    Returns
    -------
    context manager
        Write the outputs in it.

    Raises
    ------
    DataError
        As `outputs.check_outputs`; or the next run would take an output for data.
    """
    check_apart(outputs, settings)
    for path in check_outputs(outputs, inputs, replace=not settings["no_clobber"]):
        printing.note(f"{path}: the existing file is replaced")
    return keeping(outputs, settings["no_clobber"])


def check_apart(outputs, settings):
    """Raise DataError for an output that would become one of the files of the data."""
    data = settings.get("data")
    for option, path in outputs.items():
        if None not in (data, path) and would_read(data, path, settings.get("format")):
            raise DataError(
                f"{option} {path}: would become a file of {data}, and the next run would read it "
                "as data; give a path in another folder"
            )


def keeping(outputs, no_clobber):
    """A context in which no output replaces a file if `no_clobber`."""
    return forbid_replacing([path for path in outputs.values() if path] if no_clobber else [])
