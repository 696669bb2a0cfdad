"""Repair open sources in forked children."""

import ctypes
import os
import weakref

_open = weakref.WeakSet()


def remake_after_fork(source):
    """Call `source.after_fork()` in children that are forked while the source exists.

    A child shares open files and their positions with its parent, lacks the threads that read
    ahead, and keeps a lock that one of them held locked.
    """
    _open.add(source)


def leak(thing):
    """Leak a reader of the parent's: ending it would wait for threads that the child lacks."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _remake():
    for source in list(_open):
        source.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_remake)
