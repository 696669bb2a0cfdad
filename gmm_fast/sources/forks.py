"""Sources that a forked child inherits open."""

import ctypes
import os
import weakref

_open = weakref.WeakSet()


def remake_after_fork(source):
    """Call `source.forked()` in children that are forked while it exists.

    Such a child shares open files with its parent, and where each of them reads next; it has none
    of the threads that read ahead; and a lock that one of them held stays locked.
    """
    _open.add(source)


def leave(thing):
    """Forget a reader of the parent's without ending it: it would wait for threads it has lost."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _remake():
    for source in list(_open):
        source.forked()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_remake)
