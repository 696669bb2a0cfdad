"""The compiler options and the cache key that all kernels share."""

from pathlib import Path

from numba import njit

# Never `fastmath=True`: its `nnan` and `ninf` let the compiler assume that -inf and NaN do not
# occur, which breaks log-sum-exp. Without `contract` there are no fused multiply-adds. No
# `reassoc`: the order of sums would depend on what was compiled before, so the process that
# compiled a kernel got other last digits than those that loaded it from the cache. The code writes
# sums in the intended order.
FASTMATH = {"contract", "nsz"}


def _stamp():
    """Identifies the sources of the compiled code: time and size of every file of this package."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple((f.name, f.stat().st_mtime, f.stat().st_size) for f in files)


_STAMP = _stamp()


def _decorator(**options):
    def decorate(function):
        shared = {"error_model": "numpy", "nogil": True, "fastmath": FASTMATH} | options
        try:
            compiled = njit(cache=True, **shared)(function)
        except RuntimeError:  # no folder to cache in (a read-only install, no home)
            return njit(**shared)(function)
        if hasattr(compiled, "_cache"):  # not with NUMBA_DISABLE_JIT
            # Numba checks only the file that defines the function, and would miss an edit of a
            # helper in another file. tests/kernels/test_kernel_cache.py checks this.
            compiled._cache._cache_file._source_stamp = _STAMP
        return compiled

    return decorate


kernel = _decorator(parallel=True)
"""Decorator of functions that Python calls: compiled, parallel over lanes."""

serial_kernel = _decorator()
"""Decorator of functions that Python calls from its own threads, each for a range of samples.

Numba takes two and a half seconds to make even the smallest loop parallel, which would delay the
first fit on a machine.
"""

helper = _decorator(no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Decorator of functions that only kernels call. Without wrappers they compile faster, but a call
from Python crashes."""

inlined = _decorator(inline="always")
"""Decorator of a helper that is compiled as part of its caller, not by itself."""
