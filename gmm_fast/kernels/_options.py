"""The one set of compiler options every kernel shares.

Numba's disk cache looks at the file that defines a function only: after an edit here,
delete the `__pycache__` folders (`make clean`), or kernels keep their old options.
"""

from numba import njit

# Never `fastmath=True`: its `nnan` and `ninf` let the compiler assume that -inf and NaN do not
# occur, which breaks log-sum-exp. Without `contract` no fused multiply-adds are made at all, and
# without `reassoc` no reduction is vectorised.
FASTMATH = {"contract", "reassoc", "nsz", "arcp"}

# For range reduction and the like, whose rounding errors `reassoc` would "simplify" away.
ORDERED = {"contract"}


def _compiled(**options):
    def decorate(function):
        shared = {"error_model": "numpy", "nogil": True, "fastmath": FASTMATH} | options
        try:
            return njit(cache=True, **shared)(function)
        except RuntimeError:  # no folder to cache in (a read-only install, no home)
            return njit(**shared)(function)

    return decorate


kernel = _compiled(parallel=True)
"""Decorator of what Python calls: compiled, parallel over lanes."""

helper = _compiled()
"""Decorator of what kernels call: compiled, works on one block."""

elementwise = _compiled(fastmath=ORDERED)
"""Decorator of scalar functions whose order of operations must be kept."""
