"""What processes that run tests side by side share of the compiler's work."""

import contextlib
import fcntl
import zlib

from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import Dispatcher


def compile_each_function_once():
    """While one process compiles a function, others wait, and load it from the cache.

    Else each compiles all of them where the cache is cold; and Numba's index of the cache loses
    what two processes add to it at once.
    """
    alone = Dispatcher.compile
    here = open(__file__, "rb+")  # noqa: SIM115 - nothing is written; the locks last as long as it

    @contextlib.contextmanager
    def locked(function):
        """One byte of this file for each function; nobody waits in a circle, as calls have none."""
        place = zlib.crc32(f"{function.__module__}.{function.__qualname__}".encode())
        fcntl.lockf(here, fcntl.LOCK_EX, 1, place)
        try:
            yield
        finally:
            fcntl.lockf(here, fcntl.LOCK_UN, 1, place)

    def compile_or_wait(self, signature):
        with global_compiler_lock, locked(self.py_func):
            return alone(self, signature)

    Dispatcher.compile = compile_or_wait
