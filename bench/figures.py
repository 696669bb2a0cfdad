"""A figure beside its target, and figures as text."""

import statistics
from dataclasses import asdict, dataclass


@dataclass
class Figure:
    """One thing measured.

    Attributes
    ----------
    what : str
    value : float
    unit : str
        "×", "%", "s", "ms", "MB", "ns", "GFLOP/s", "a sample" (of log-likelihood) or "".
    target : float, optional
    at_least : bool
        Whether the target is a floor; else it is a ceiling.
    detail : str
    wrong : str
        Why the target is not met whatever the value, if so.
    """

    what: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = True
    detail: str = ""
    wrong: str = ""

    @property
    def met(self):
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        reached = self.value >= self.target if self.at_least else self.value <= self.target
        return reached and not self.wrong

    def as_json(self):
        return asdict(self) | {"met": self.met}

    def cells(self):
        """What it is, value, target, verdict, detail."""
        detail = "; ".join(part for part in (self.wrong.upper(), self.detail) if part)
        if self.target is None:
            return [self.what, quantity(self.value, self.unit), "", "", detail]
        sign = "≥" if self.at_least else "≤"
        target = f"{sign} {self.target:g}{spaced(self.unit)}"
        verdict = "met" if self.met else "NOT MET"
        return [self.what, quantity(self.value, self.unit), target, verdict, detail]


def spaced(unit):
    return f" {unit}" if unit else ""


def quantity(value, unit):
    """A number of three digits with its unit; small ones to four places."""
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 or size == 0 else 4
    return f"{value:.{digits}f}{spaced(unit)}"


def lines(figures):
    """Figures as aligned lines for a terminal."""
    rows = [figure.cells() for figure in figures]
    widths = [max(len(row[i]) for row in rows) for i in range(4)] if rows else []
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True))
        for row in rows
    ]


def table(head, rows):
    """A Markdown table."""
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def spread(seconds):
    """Median and extremes in milliseconds."""
    low, mid, high = (1e3 * f(seconds) for f in (min, statistics.median, max))
    digits = 1 if mid >= 100 else 2
    return f"{mid:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
