"""What benches print and write: figures beside their targets, tables, and the machine's facts.

Every bench writes NAME.json and, made from nothing but that, NAME.md.
"""

import argparse
import json
import os
import platform
import statistics
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numba
from threadpoolctl import threadpool_info

import gmm_fast

PACKAGES = (
    "numpy",
    "numba",
    "scipy",
    "scikit-learn",
    "scikit-learn-intelex",
    "pomegranate",
    "torch",
)
HEAD = "what | measured | target | verdict | detail"


@dataclass
class Figure:
    """One thing measured, in "×", "%", "s", "a sample" (of log-likelihood) or the like."""

    what: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = True  # whether the target is a floor; else it is a ceiling
    detail: str = ""
    wrong: str = ""  # why the target is not met whatever the value, if so

    @property
    def met(self):
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        reached = self.value >= self.target if self.at_least else self.value <= self.target
        return reached and not self.wrong

    def as_json(self):
        return asdict(self) | {"met": self.met}

    @classmethod
    def from_json(cls, values):
        return cls(**{name: value for name, value in values.items() if name != "met"})

    def cells(self):
        """As `HEAD` says."""
        detail = "; ".join(part for part in (self.wrong.upper(), self.detail) if part)
        target = verdict = ""
        if self.target is not None:
            target = f"{'≥' if self.at_least else '≤'} {self.target:g}{spaced(self.unit)}"
            verdict = "met" if self.met else "NOT MET"
        return [self.what, quantity(self.value, self.unit), target, verdict, detail]


def ceiling(what, value, unit, target, detail=""):
    """The figure of what is to stay below its target."""
    return Figure(what, value, unit, target, False, detail)


def spaced(unit):
    return f" {unit}" if unit else ""


def quantity(value, unit):
    """A number of three digits with its unit; small ones to four places."""
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 or size == 0 else 4
    return f"{value:.{digits}f}{spaced(unit)}"


def spread(seconds):
    """Median and extremes in milliseconds."""
    low, mid, high = (1e3 * f(seconds) for f in (min, statistics.median, max))
    digits = 1 if mid >= 100 else 2
    return f"{mid:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def show(figures):
    """Print figures as aligned lines."""
    rows = [figure.cells() for figure in figures]
    widths = [max(len(row[i]) for row in rows) for i in range(4)] if rows else []
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True))
        print("  " + "  ".join(cells), flush=True)


def table(head, rows):
    """A Markdown table, as lines, of a head such as `HEAD` and rows of cells."""
    lines = [f"| {head} |", "|" + "---|" * len(head.split("|"))]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def figure_table(figures, head=HEAD):
    return table(head, [figure.cells() for figure in figures])


def tally(figures):
    """How many targets are met, as text."""
    judged = [figure for figure in figures if figure.met is not None]
    return f"{sum(figure.met for figure in judged)} of {len(judged)} targets met"


def sentence(facts):
    """Machine and versions in a line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items()) + "."


def document(*lines):
    """Lines as the text of a file."""
    return "\n".join(lines) + "\n"


def parser(text):
    """Of a bench's options: its docstring's first line, and where results go."""
    made = argparse.ArgumentParser(description=text.splitlines()[0])
    made.add_argument("--out", type=Path, help="folder for what is measured, as JSON and Markdown")
    return made


def save(folder, name, content, markdown):
    """Write NAME.json, and NAME.md as markdown(content) has it; nothing without a folder."""
    if folder is None:
        return
    content = {"machine": machine()} | content
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1, default=str)
    (folder / f"{name}.json").write_text(text + "\n")
    (folder / f"{name}.md").write_text(markdown(json.loads(text)))


def machine():
    """Processor, threads and versions, as JSON values."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": numba.config.NUMBA_NUM_THREADS,
        "thread layer": thread_layer(),
        "memory": memory(),
        "system": platform.system(),
        "python": platform.python_version(),
        "gmm-fast": gmm_fast.__version__,
        "BLAS of NumPy": blas(),
    } | {name: version(name) for name in PACKAGES}


def processor():
    """Name of the processor, and its family where the name says little."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    known = dict(line.split(":", 1) for line in lines if ":" in line)
    known = {name.strip(): value.strip() for name, value in known.items()}
    name = known.get("model name", platform.processor() or "unknown")
    if "cpu family" in known:
        name += f" (family {known['cpu family']}, model {known.get('model', '?')})"
    return name


def thread_layer():
    """Numba's, once it has started its threads."""
    try:
        return numba.threading_layer()
    except ValueError:
        return "not started"


def memory():
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError):
        return "unknown"


def blas():
    """What NumPy's products run on, and for how wide vectors."""
    names = {
        f"{p['internal_api']} {p['version']} {p.get('architecture', '')}".strip()
        for p in threadpool_info()
        if p["user_api"] == "blas"
    }
    return ", ".join(sorted(names)) or "unknown"


def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
