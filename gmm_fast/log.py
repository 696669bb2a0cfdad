"""What `verbose` says: records of the logger "gmm_fast"."""

import logging
import sys

LOGGER = logging.getLogger("gmm_fast")


class _Stderr(logging.StreamHandler):
    """Writes to what `sys.stderr` is when a record comes, as notebooks and tests replace it."""

    @property
    def stream(self):
        return sys.stderr

    @stream.setter
    def stream(self, _):
        pass


def speaking(verbose):
    """The logger if anything is to be said, else None.

    `verbose` asks to be told: where nobody has set logging up, records go to standard error.
    """
    if not verbose:
        return None
    if not LOGGER.hasHandlers():
        LOGGER.addHandler(_Stderr())
        LOGGER.setLevel(logging.INFO)
    return LOGGER


def say_events(logger, events):
    """Tell `logger`, if there is one, what a user should know."""
    for event in events if logger is not None else ():
        logger.warning("%s", event)


def log_iterations(verbose, interval):
    """A callback of `em.fit` that logs every so many iterations, or None."""
    logger = speaking(verbose)
    if logger is None:
        return None

    def log(iteration, mean_log_likelihood, change):
        if iteration % interval == 0:
            logger.info("iteration %d: %.6f (%+.2e)", iteration, mean_log_likelihood, change)

    return log
