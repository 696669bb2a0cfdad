"""Begin a checkpoint, or resume one; options and data must be those it was begun with."""

import glob
import hashlib
import os
import platform
from importlib import metadata

import numpy as np

from ..errors import DataError
from ..files.outputs import remove_leftovers
from ..fitting.checkpoint import EVERY, Checkpoint, Keeper, read_checkpoint
from ..sources import STDIN

# Options that do not change the result: a resumed fit may change them.
FREE = ("threads", "memory", "workers", "scheduler", "verbose", "quiet", "every", "report_path")
# Options for where to work: giving one replaces the other.
WHERE = ("workers", "scheduler")
# Options that are paths of files.
PATHS = (
    "data",
    "from_model",
    "from_labels",
    "weights",
    "model_path",
    "labels_path",
    "report_path",
    "plot",
    "animate",
)
# Newer options, and the values that older checkpoints were begun with.
_LATER = {"effort": 1.0, "resolution": None}
# Options on where the work is kept and how its result is shown.
_OUTSIDE = ("checkpoint", "resume", "as_json", "no_clobber", "overwrite")
# Relative differences allowed between sums over the same data on two machines, by dtype.
_ROUNDING = {"float64": 1e-10, "float32": 1e-5}
_ADVICE = "give the same data, or start a new fit"


class Kept:
    """A command's options and its `Keeper`.

    Parameters
    ----------
    command : str
        "fit" or "search".
    settings : dict
        Options by parameter, with "checkpoint", "every" and "resume".
    given : dict of str -> str
        Parameters that the user gave, and their names for messages.
    say : callable
        Takes a message for the user.

    Attributes
    ----------
    options : dict
        `settings`, or those of the checkpoint that is resumed.
    keeper : Keeper
    option : str
        The option that names the checkpoint, for messages.
    resumed : bool
        Whether it resumes a checkpoint.
    no_clobber : bool
        Whether existing files must stay.

    Raises
    ------
    DataError
        There is no checkpoint to resume, its options differ, or "checkpoint" names a file that must
        not be replaced.
    """

    def __init__(self, command, settings, given, say):
        self._say = say
        self.command, self.no_clobber = command, settings["no_clobber"]
        self.resumed = settings["resume"] is not None
        self.option = "--resume" if self.resumed else "--checkpoint"
        path = settings["resume"] if self.resumed else settings["checkpoint"]
        self.options = {name: v for name, v in settings.items() if name not in _OUTSIDE}
        checkpoint = None
        if self.resumed:
            checkpoint = _read(command, path)
            self.options |= _options_of(checkpoint, self.options, given)
            remove_leftovers(path)
            if checkpoint.complete:
                say(f"{path}: the {command} was already finished; its outputs are written again")
            if checkpoint.version != Checkpoint.version:
                say(
                    f"{path} was written by gmm-fast {checkpoint.version}, this is "
                    f"{Checkpoint.version}: the last digits of the result may differ"
                )
        elif path is None and settings["overwrite"]:
            raise DataError("--overwrite needs --checkpoint, the file that it may replace")
        elif path is None and self.options["every"] is not None:
            raise DataError("--every needs --checkpoint or --resume; without them nothing is kept")
        elif path is not None:
            _check_replaceable(path, command, self.options, settings["overwrite"])
            checkpoint = Checkpoint(command, {}, os.getcwd())
        every = EVERY if self.options["every"] is None else self.options["every"]
        self.keeper = Keeper(path, checkpoint, every=every, say=say)

    def working(self):
        """A context that writes the checkpoint as the work goes on.

        Options must be checked before, and must not change any more.
        """
        if self.keeper.path is not None and not self.resumed:
            self.keeper.checkpoint.options = self.options
        return self.keeper.protect(new=not self.resumed)

    def check_data(self, name, found):
        """Check that data is that of the checkpoint, as far as both are known.

        Parameters
        ----------
        name : str
        found : dict
            As `shape_of` or `moments_of` returns it.

        Raises
        ------
        DataError
            It is not; the message says what differs.
        """
        if self.keeper.checkpoint is None:
            return
        kept = self.keeper.checkpoint.data
        if found.keys() <= kept.keys() and _check_same(name, kept, found):
            self._say(
                f"{name}: sums over the data differ from the checkpoint's in the last digits, as "
                "on another machine or cluster; so may the result"
            )
        self.keeper.checkpoint.data = found | kept

    def check_input(self, option, path):
        """Check that another input file has the same bytes as when the checkpoint was begun."""
        if self.keeper.checkpoint is None or path is None:
            return
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if self.keeper.checkpoint.inputs.setdefault(option, found) != found:
            raise DataError(
                f"{option} {path}: the file has changed since the checkpoint was begun; give the "
                "same file, or start a new fit"
            )


def shape_of(source):
    """Facts of data that is open, JSON values."""
    return {
        "n_samples": source.n_samples,
        "n_features": source.n_features,
        "dtype": str(source.dtype),
    }


def moments_of(backend):
    """Facts of data after its survey, JSON values."""
    survey = backend.survey()
    return {
        "total_weight": float(survey.total_weight),
        "mean": survey.mean.tolist(),
        "variance": survey.variance.tolist(),
        "computed": [str(backend.dtype), backend.n_parts, *_computer()],
    }


def _computer():
    """What must be equal for the same computation on the same data to give the same bits."""
    versions = [metadata.version(name) for name in ("numpy", "numba", "llvmlite")]
    return [platform.node(), platform.machine(), *versions]


def _read(command, path):
    checkpoint = read_checkpoint(path)
    if checkpoint.command != command:
        raise DataError(
            f"{path}: is the checkpoint of a {checkpoint.command}; go on with: gmm-fast "
            f"{checkpoint.command} --resume {path}"
        )
    return checkpoint


def _check_replaceable(path, command, options, overwrite):
    """Raise DataError unless --checkpoint is a new file, or that of a finished run of this fit."""
    if not os.path.isfile(path):
        return
    try:
        found = read_checkpoint(path)
    except DataError:
        raise DataError(
            f"--checkpoint {path}: would overwrite a file that is not a checkpoint, or a damaged "
            "one; give another path, or delete it"
        ) from None
    if overwrite:
        return
    if not found.complete:
        raise DataError(
            f"--checkpoint {path}: is the checkpoint of an unfinished {found.command}; go on with "
            f"{Keeper(path, found).resume_command}, replace it with --overwrite, or delete it"
        )
    differs = _first_difference(found, options) if found.command == command else "command"
    if differs is not None:
        raise DataError(
            f"--checkpoint {path}: is the checkpoint of another {found.command} (its {differs} "
            "differs); give another path, or replace it with --overwrite"
        )


def _first_difference(checkpoint, options):
    """The first option that differs from the checkpoint's, or None."""
    for name, value in checkpoint.options.items():
        new = options.get(name)
        # what is None now may have been filled in later, such as the name of the model
        if name in FREE or name in _OUTSIDE or new is None:
            continue
        old = _from_here(value, checkpoint.folder) if name in PATHS else value
        if name in PATHS and old is not None:
            old, new = os.path.realpath(old), os.path.realpath(new)
        if old != new:
            return "--" + name.replace("_", "-") if name != "data" else "data"
    return None


def _options_of(checkpoint, settings, given):
    """The options to resume with; those that the user gave must be the checkpoint's."""
    stored = _LATER | {
        name: _from_here(value, checkpoint.folder) if name in PATHS else value
        for name, value in checkpoint.options.items()
    }
    for name, option in given.items():
        if name in _OUTSIDE or name in FREE:
            continue
        old, new = stored.get(name), settings[name]
        if name in PATHS and None not in (old, new):
            same = os.path.realpath(old) == os.path.realpath(new)
        else:
            same = old == new
        if not same:
            old = ", which lacks it" if old is None or old is False else f"'s{_text(old)}"
            raise DataError(
                f"{option}{_text(new)} differs from the checkpoint{old}; leave it out, or start "
                "a new fit"
            )
    if any(name in given for name in WHERE):
        stored |= dict.fromkeys(WHERE)
    return stored | {name: settings[name] for name in FREE if name in given}


def _from_here(path, folder):
    """A path relative to `folder`, as seen from the current folder."""
    if path in (None, STDIN) or folder == os.getcwd():
        return path
    # only the path is a pattern, never the folder
    return os.path.join(glob.escape(folder) if glob.has_magic(path) else folder, path)


def _text(value):
    if value is True:
        return ""
    if isinstance(value, dict):
        return "".join(f" {text}={name}" for name, text in value.items())
    return " " + (",".join(map(str, value)) if isinstance(value, list) else str(value))


def _check_same(name, kept, found):
    """Raise DataError where `found` differs from `kept`; return whether it does by rounding."""
    if "n_samples" in found:
        _check_shape(name, kept, found)
        return False
    exactly = kept["computed"] == found["computed"]
    tolerance = 0.0 if exactly else _ROUNDING[found["computed"][0]]
    spread = np.sqrt(kept["variance"])
    sizes = {
        "total_weight": np.abs([kept["total_weight"]]),
        "mean": np.abs(kept["mean"]) + spread,
        "variance": np.square(spread),
    }
    rough = False
    for what, size in sizes.items():
        old, new = np.atleast_1d(kept[what]), np.atleast_1d(found[what])
        apart = ~(np.abs(new - old) <= tolerance * size)
        if apart.any():
            j = int(np.flatnonzero(apart)[0])
            of = f"{what} of feature {j} (counting from 0)"
            if what == "total_weight":
                of = "total weight"
            raise DataError(
                f"{name}: the {of} is {float(new[j])!r}, but was {float(old[j])!r} when the "
                f"checkpoint was begun; {_ADVICE}"
            )
        rough = rough or bool((new != old).any())
    return rough


def _check_shape(name, kept, found):
    for what, noun in (("n_samples", "rows"), ("n_features", "columns")):
        if kept[what] != found[what]:
            raise DataError(
                f"{name}: has {found[what]:,} {noun}, but had {kept[what]:,} when the checkpoint "
                f"was begun; {_ADVICE}"
            )
    if kept["dtype"] != found["dtype"]:
        raise DataError(
            f"{name}: holds {found['dtype']}, but held {kept['dtype']} when the checkpoint was "
            f"begun; {_ADVICE}"
        )
