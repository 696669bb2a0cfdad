"""Logging for `verbose`: records of the logger "gmm_fast"."""

import logging
import sys

LOGGER = logging.getLogger("gmm_fast")


class _Stderr(logging.StreamHandler):
    """Writes to the current `sys.stderr`, which notebooks and tests replace."""

    @property
    def stream(self):
        return sys.stderr

    @stream.setter
    def stream(self, _):
        pass


def verbose_logger(verbose):
    """The logger if `verbose`, else None.

    Where logging is not set up, records go to standard error.
    """
    if not verbose:
        return None
    if not LOGGER.hasHandlers():
        LOGGER.addHandler(_Stderr())
        LOGGER.setLevel(logging.INFO)
    return LOGGER


def log_events(logger, events):
    """Log events that a user should know about, if there is a logger."""
    for event in events if logger is not None else ():
        logger.warning("%s", event)


def log_iterations(verbose, interval):
    """A callback of `em.fit` that logs every so many iterations, or None."""
    logger = verbose_logger(verbose)
    if logger is None:
        return None

    def log(iteration, mean_log_likelihood, change):
        if iteration % interval == 0:
            logger.info("iteration %d: %.6f (%+.2e)", iteration, mean_log_likelihood, change)

    return log
