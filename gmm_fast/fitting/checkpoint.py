"""Saves the progress of a fit or a search in a file, from which it resumes to the same bits."""

import copy
import os
import shlex
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .. import __version__
from ..em.loop import FitResult, State
from ..errors import ChangedError, DataError, FitError, Interrupted
from ..files.archive import Kind, read_archive, write_archive
from ..files.modelfile import (
    are_numbers,
    check_facts,
    check_mixture,
    is_count,
    is_number,
    wrong_later_facts,
)
from ..mixture.params import Params, covariance_shape

# Default seconds between two writes.
EVERY = 60.0

CHECKPOINT = Kind(
    format="gmm-fast checkpoint",
    version=1,
    noun="checkpoint",
    file="checkpoint",
    error=DataError,
    needed="give the file that --checkpoint named",
    order="give the file that --checkpoint named",
    again="start the fit anew",
    complete=lambda header: header.get("command") in ("fit", "search"),
)
_PARAMS = ("weights", "means", "covariances")


class Job(NamedTuple):
    """Identifies a fit: the only one of `fit`, or a candidate of `search`."""

    covariance_type: str
    n_components: int


@dataclass
class Checkpoint:
    """The content of a checkpoint file.

    Attributes
    ----------
    command : str
        "fit" or "search".
    options : dict
        JSON values; paths as the user wrote them, relative to `folder`.
    folder : str
        Working directory of the command.
    data : dict
        Identifies the data, as far as it was read.
    inputs : dict of str -> str
        SHA-256 of other files that were read, by option.
    done : dict of Job -> (Params, dict)
        Finished fits: parameters and facts.
    running : (Job, State), optional
        State of the unfinished fit.
    complete : bool
        Whether everything is done and written.
    seconds : float
        Time spent so far.
    version : str
        Version of gmm-fast that wrote it.
    """

    command: str
    options: dict
    folder: str
    data: dict = field(default_factory=dict)
    inputs: dict = field(default_factory=dict)
    done: dict = field(default_factory=dict)
    running: tuple | None = None
    complete: bool = False
    seconds: float = 0.0
    version: str = __version__

    @property
    def begun(self):
        """Whether a fit has got beyond its start."""
        return bool(self.done) or self.running is not None


# Fields that the header holds as they are, with their types.
_PLAIN = {
    "command": str,
    "options": dict,
    "folder": str,
    "data": dict,
    "inputs": dict,
    "complete": bool,
    "seconds": int | float,
    "version": str,
}


def write_checkpoint(path, checkpoint):
    """Write a checkpoint, whole or not at all; raises as `outputs.atomic_write`."""
    header = {name: getattr(checkpoint, name) for name in _PLAIN}
    header["gmm_fast"] = header.pop("version")  # "version" is that of the format
    arrays = {}
    header["done"] = []
    for i, (job, (params, facts)) in enumerate(checkpoint.done.items()):
        header["done"].append([*job, facts])
        arrays |= _arrays_of(params, f"done{i}")
    header["running"] = None
    if checkpoint.running is not None:
        job, state = checkpoint.running
        header["running"] = [
            *job,
            {
                "small_steps": state.small_steps,
                "events": state.events,
                "revivals": list(state.revivals.items()),
                "seconds": state.seconds,
                "effort": state.effort,
                "moves": state.moves,
                "rounded": state.rounded,
            },
        ]
        arrays |= _arrays_of(state.params, "running")
        arrays["running_trace"] = np.array(state.trace, np.float64)
        arrays["running_collapsed"] = state.collapsed
    write_archive(path, CHECKPOINT, header, arrays)


def read_checkpoint(path):
    """Read a checkpoint.

    Returns
    -------
    Checkpoint

    Raises
    ------
    DataError
        Not a checkpoint, of another version, damaged, or edited by hand.
    """
    header, arrays = read_archive(path, CHECKPOINT)
    try:
        header["version"] = header["gmm_fast"]
        checkpoint = Checkpoint(**{name: header[name] for name in _PLAIN})
        _demand(all(isinstance(header[name], kind) for name, kind in _PLAIN.items()))
        _demand(is_number(checkpoint.seconds))
        for i, (family, k, facts) in enumerate(header["done"]):
            params = check_mixture(_params_of(arrays, f"done{i}", family, k), path)
            check_facts(facts, params.n_features, path)
            checkpoint.done[Job(family, k)] = params, facts
        if header["running"] is not None:
            family, k, facts = header["running"]
            params = _params_of(arrays, "running", family, k)
            checkpoint.running = Job(family, k), _state_of(arrays, params, facts)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise DataError(f"{path}: the checkpoint's header is not complete") from None
    return checkpoint


def _state_of(arrays, params, facts):
    trace, collapsed = arrays["running_trace"], arrays["running_collapsed"]
    _demand(trace.dtype == np.float64 and trace.ndim == 1 and len(trace))
    _demand(np.isfinite(trace).all())
    n_covariances = params.family.n_covariances(params.n_components)
    _demand(collapsed.dtype == bool and collapsed.shape == (n_covariances,))
    revivals, events, seconds = dict(facts["revivals"]), tuple(facts["events"]), facts["seconds"]
    _demand(all(is_count(n) for item in revivals.items() for n in item))
    _demand(max(revivals, default=0) < params.n_components)
    _demand(is_count(facts["small_steps"]) and all(isinstance(event, str) for event in events))
    _demand(are_numbers(list(seconds.values())))
    _demand(not wrong_later_facts(facts))
    return State(
        params=params,
        trace=tuple(trace.tolist()),
        small_steps=facts["small_steps"],
        events=events,
        collapsed=collapsed,
        revivals=revivals,
        seconds=seconds,
        effort=facts.get("effort", 0.0),
        moves=facts.get("moves", 0),
        rounded=facts.get("rounded", False),
    )


def _demand(holds):
    """Raise ValueError unless a condition on the checkpoint's content holds."""
    if not holds:
        raise ValueError


def _arrays_of(params, prefix):
    return {f"{prefix}_{name}": getattr(params, name) for name in _PARAMS}


def _params_of(arrays, prefix, family, k):
    """Parameters of the right shapes; in the middle of a fit they need not be a valid mixture."""
    params = Params(*(arrays[f"{prefix}_{name}"] for name in _PARAMS), family)
    _demand(params.means.ndim == 2 and params.means.size and params.n_components == k)
    _demand(params.weights.shape == (k,))
    _demand(params.covariances.shape == covariance_shape(family, *params.means.shape))
    for name in _PARAMS:
        array = getattr(params, name)
        _demand(array.dtype == np.float64 and np.isfinite(array).all())
    return params


class Keeper:
    """Writes a checkpoint at intervals, after each fit, and when the work is interrupted.

    Parameters
    ----------
    path : str, optional
        Without it nothing is written.
    checkpoint : Checkpoint, optional
        Content of the file.
    every : float
        Least number of seconds between two writes.
    say : callable, optional
        Called with a message, once, if the file cannot be written; the work continues.
    """

    def __init__(self, path=None, checkpoint=None, *, every=EVERY, say=None):
        self.path = path
        self.checkpoint = checkpoint
        self.every = every
        self._say = say
        self._trouble = None
        self._written = None
        self._changed = False
        self._results_alone = False
        self._lock = threading.RLock()  # fits may run side by side
        self._before = 0.0 if checkpoint is None else checkpoint.seconds
        self._began = time.perf_counter()

    @property
    def seconds(self):
        """Time spent in all, including the runs that this one resumes."""
        return self._before + time.perf_counter() - self._began

    @property
    def begun(self):
        return self.path is not None and self.checkpoint.begun

    @property
    def resume_command(self):
        """The command that resumes from the checkpoint."""
        return f"gmm-fast {self.checkpoint.command} --resume {shlex.quote(str(self.path))}"

    # Called by `fitting.fit`

    def result(self, job):
        """The `FitResult` of a finished fit, or None."""
        if self.path is None or job not in self.checkpoint.done:
            return None
        params, facts = self.checkpoint.done[job]
        return FitResult.from_facts(params, copy.deepcopy(facts))

    def state(self, job):
        """The `em.State` of the unfinished fit, or None."""
        if self.path is None or self.checkpoint.running is None:
            return None
        found, state = self.checkpoint.running
        return state if found == job else None

    def listener(self, job):
        """A function to call with each state of a fit, or None if states are not kept."""
        if self.path is None or self._results_alone:
            return None

        def keep(state):
            self.checkpoint.running = job, state
            self._changed = True
            if self._written is None or time.monotonic() - self._written >= self.every:
                self.save()

        return keep

    @contextmanager
    def side_by_side(self):
        """Keep only the results of fits that finish: in the block several run at a time."""
        self._results_alone = True
        try:
            yield
        finally:
            self._results_alone = False

    def finish(self, job, result):
        """Record a finished fit, and write at once: long work without states may follow."""
        if self.path is None:
            return
        with self._lock:
            # a copy, since results get more events later
            self.checkpoint.done[job] = result.params, copy.deepcopy(result.facts())
            if self.state(job) is not None:
                self.checkpoint.running = None
            self._changed = True
            self.save()

    # Writing

    def save(self):
        """Write what is new. Returns whether that worked; reports only the first failure."""
        if self.path is None or not self._changed:
            return True
        try:
            self._write()
        except (FitError, DataError) as error:
            if self._trouble is None and self._say is not None:
                self._say(f"{error}; the work goes on, and the checkpoint stays as it was")
            self._trouble = error
            self._written = time.monotonic()
            return False
        return True

    def complete(self):
        """Record that everything is done and written."""
        if self.path is not None and not self.checkpoint.complete:
            self.checkpoint.complete = self._changed = True
            self.save()

    def _write(self):
        self.checkpoint.seconds = self.seconds
        write_checkpoint(self.path, self.checkpoint)
        self._changed = False
        self._written = time.monotonic()

    @contextmanager
    def protect(self, *, new):
        """Save the progress of the block, even if it fails or is interrupted.

        Parameters
        ----------
        new : bool
            Whether to write the file first; it is deleted if the block fails before there is
            anything to save.

        Raises
        ------
        Interrupted
            Instead of KeyboardInterrupt and SystemExit; it says how to resume.
        DataError, FitError
            As `write_checkpoint`, for the first write.
        """
        if self.path is None:
            yield
            return
        made = False
        try:
            if new:
                self._write()
                self._written = None  # the first state is written at once
                made = True
            yield
        except (KeyboardInterrupt, SystemExit) as stop:
            status = stop.code if isinstance(stop, SystemExit) else 130
            raise Interrupted(status, self._save_and_report()) from None
        except (ChangedError, FitError, MemoryError):
            if self.begun and self.save():
                self._say(f"what was done is in the checkpoint; go on with: {self.resume_command}")
            self._discard(made)
            raise
        except Exception:
            self._discard(made)
            raise

    def _discard(self, made):
        if made and not self.begun:
            with suppress(OSError):
                os.unlink(self.path)

    def _save_and_report(self):
        """Write for the last time. Returns the message for the user."""
        where = self._where()
        try:
            saved = self.save()
        except (KeyboardInterrupt, SystemExit):  # interrupted again; the file stays as it was
            saved = False
        if not saved:
            where += ", but the checkpoint could not be updated and is from an earlier point"
        return f"Interrupted {where}; go on with: {self.resume_command}"

    def _where(self):
        fits, search = len(self.checkpoint.done), self.checkpoint.command == "search"
        if self.checkpoint.running is not None:
            job, state = self.checkpoint.running
            at = f"at iteration {state.iteration}"
            return f"{at} of K={job.n_components} {job.covariance_type}" if search else at
        if fits > 1:
            return f"after {fits} fits"
        if fits:
            return "after the first fit"
        return "before the first fit was done" if search else "before the first iteration"
