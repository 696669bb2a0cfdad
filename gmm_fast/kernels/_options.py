"""The one set of compiler options every kernel shares, and the one cache key."""

from pathlib import Path

from numba import njit

# Never `fastmath=True`: its `nnan` and `ninf` let the compiler assume that -inf and NaN do not
# occur, which breaks log-sum-exp. Without `contract` no fused multiply-adds are made at all. No
# `reassoc`: what order it leaves sums in depends on what else was compiled before, so that the
# process that compiled a kernel got other last digits than those that found it in the cache. Sums
# are written in the order that is to be.
FASTMATH = {"contract", "nsz"}


def _stamp():
    """What identifies the compiled code's sources: time and size of every file of this package."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple((f.name, f.stat().st_mtime, f.stat().st_size) for f in files)


_STAMP = _stamp()


def _compiled(**options):
    def decorate(function):
        shared = {"error_model": "numpy", "nogil": True, "fastmath": FASTMATH} | options
        try:
            compiled = njit(cache=True, **shared)(function)
        except RuntimeError:  # no folder to cache in (a read-only install, no home)
            return njit(**shared)(function)
        if hasattr(compiled, "_cache"):  # not with NUMBA_DISABLE_JIT
            # Numba looks only at the file that defines the function: an edit of a helper in
            # another file would be missed. tests/test_kernel_cache.py watches over this.
            compiled._cache._cache_file._source_stamp = _STAMP
        return compiled

    return decorate


kernel = _compiled(parallel=True)
"""Decorator of what Python calls: compiled, parallel over lanes."""

serial_kernel = _compiled()
"""Decorator of what Python calls from threads of its own, each for a range of samples.

Numba takes two and a half seconds to make the smallest of loops parallel, and with it the first fit
ever on a machine waits.
"""

helper = _compiled(no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Decorator of what kernels, and nobody else, call: compiled, works on one block. Without wrappers
it compiles sooner, and a call from Python crashes."""

inlined = _compiled(inline="always")
"""Decorator of a helper that a caller uses once: compiled as a part of it, not by itself."""
