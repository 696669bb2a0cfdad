"""Numbers as text, for messages, tables and pages."""

import math

import numpy as np

# Numbers from here on are written with an exponent.
LONGEST = 1e13


def number(value, digits=4):
    """A number for a table; a dash if it is undefined."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:,.{digits}f}" if abs(value) < LONGEST else f"{value:.6g}"


def weight(value):
    """A weight for a table; small ones keep two digits."""
    return f"{value:.1e}" if 0 < value < 5e-4 else number(value)


def stage_seconds(seconds):
    """Seconds of the stages of a fit: "read 0.02, start 0.66, EM 0.02"."""
    names = {"read": "read", "compile": "compile", "init": "start", "em": "EM"}
    return ", ".join(f"{text} {seconds[key]:.2f}" for key, text in names.items() if key in seconds)


def shorten(text, most):
    """`text` in at most `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def count(n, noun):
    """`n` things: "1 sample", "2,000 samples"."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def mean_and_deviation(means, deviations):
    """Cells "mean ± deviation" of one feature, with as many decimals as its deviations justify."""
    small, large = (
        math.floor(math.log10(s)) if s > 0 else 0 for s in (deviations.min(), deviations.max())
    )
    decimals = min(2 - small, 4 - large)
    biggest = max(np.abs(means).max(), deviations.max())
    if decimals > 8 or biggest >= 1e12:
        texts = [(f"{m:.6g}", f"{s:.3g}") for m, s in zip(means, deviations, strict=True)]
    else:
        decimals = max(decimals, 0)
        texts = [
            (f"{m:.{decimals}f}", f"{s:.{decimals}f}")
            for m, s in zip(means, deviations, strict=True)
        ]
    width = max(len(s) for _, s in texts)
    return [f"{m} ± {s:>{width}}" for m, s in texts]


def show_size(n_bytes):
    """A number of bytes in readable units: 1.6 GB."""
    for factor, unit in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes} bytes"
