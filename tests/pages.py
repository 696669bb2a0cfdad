"""Facts, rows and pictures of reports, for tests, and a reader of pages."""

import re
import struct
import zlib
from html.parser import HTMLParser

import numpy as np

FAMILIES = ("full", "tied", "diag", "spherical")
COMMAND = "gmm-fast search 1 5 'my data.npy' --criterion bic --report report.html"
DATE = "2030-01-02 03:04 +0000"
# Text that would run if it were not escaped.
ATTACKS = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(2)</script>",
    "\"'><svg onload=alert(3)>",
    "{{ 7 * 7 }}",
    "</title></style><base href=https://example.invalid>",
)
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30">'
    b'<rect width="9" height="9"/></svg>'
)


def png(width=4, height=3):
    """A grey picture."""

    def chunk(kind, content):
        sum_of = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", sum_of)

    lines = zlib.compress(b"".join(b"\0" + width * b"\x80" for _ in range(height)))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", lines), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


PICTURES = (("Clusters", "All 500 samples.", SVG), ("Uncertainty", "How sure it is.", png()))


def fit(k=3, d=2, family="full", **more):
    """Facts of a fit."""
    rng = np.random.default_rng(k)
    square = rng.normal(size=(k, d, d))
    covariances = square @ square.swapaxes(1, 2) + np.eye(d)
    deviations = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    covariances = {
        "full": covariances,
        "tied": covariances[0],
        "diag": deviations**2,
        "spherical": deviations[:, 0] ** 2,
    }[family]
    return {
        "n_components": k,
        "n_features": d,
        "covariance_type": family,
        "log_likelihood": -1234.5,
        "mean_log_likelihood": -2.469,
        "n_parameters": 17,
        "bic": 2574.6,
        "aic": 2503.0,
        "icl": 2599.9,
        "silhouette": 0.6123,
        "silhouette_samples": 500,
        "n_iter": 12,
        "converged": True,
        "stop_reason": "tolerance",
        "events": [],
        "seconds": {"init": 0.5, "em": 1.5},
        "reg_covar": 1e-6,
        "weights": rng.dirichlet(np.ones(k)),
        "means": 10 * rng.normal(size=(k, d)),
        "deviations": deviations,
        "covariances": covariances,
    } | more


def row(k=3, family="full", **more):
    """A row of the table of a search."""
    return {
        "n_components": k,
        "covariance_type": family,
        "log_likelihood": -1234.5 + k,
        "n_parameters": 6 * k - 1,
        "bic": 2574.6 + 31.2 * abs(k - 3) + 1000 * FAMILIES.index(family),
        "aic": 2503.0 + 20 * abs(k - 4),
        "icl": 2599.9 + 50 * abs(k - 2),
        "silhouette": None if k == 1 else 0.6123 - 0.01 * k,
        "n_iter": 12,
        "converged": True,
        "stop_reason": "tolerance",
        "events": [],
    } | more


def rows():
    """Five numbers of components in two families; one could not be fitted."""
    found = [row(k, family) for family in FAMILIES[:2] for k in range(1, 6)]
    nothing = dict.fromkeys(
        ("log_likelihood", "bic", "aic", "icl", "silhouette", "n_iter", "converged", "stop_reason")
    )
    found[-1] |= nothing | {"failure": "5 components are too many for these samples"}
    return found


def data(d=2, **more):
    return {
        "name": "my data.npy",
        "n_samples": 500,
        "n_features": d,
        "dtype": "float32",
        "computed": "float32",
        "features": None,
        "weights": None,
        "total_weight": 500.0,
        "in_memory": True,
        "mean": np.linspace(-5, 5, d),
        "deviation": np.linspace(1, 3, d),
    } | more


def facts(best=None, **more):
    """Facts of a search."""
    best = fit() if best is None else best
    return {
        "best": best,
        "data": data(best["n_features"]),
        "criterion": "bic",
        "margin": 31.2,
        "runner_up": (4, "full"),
        "warnings": ["the best is at the upper end of the range; search further"],
        "early_stop": None,
        "command": COMMAND,
        "date": DATE,
        "model": "best model.npz",
        "labels": None,
        "seconds": {"total": 4.25, "init": 0.5, "em": 1.5},
        "settings": {"seed": 7, "threads": 2, "workers": None},
        "versions": {"gmm-fast": "9.8.7", "Python": "3.99", "numpy": None},
    } | more


VOID = {"meta", "link", "img", "br", "hr", "input", "base", "col", "source", "wbr"}


class Page(HTMLParser):
    """A page, read: its tags, its text without styles and scripts, its tables."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.ids, self.tables, self.raw = [], [], {"style": "", "script": ""}
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, text):
        inside = self.open[-1] if self.open else None
        if inside in self.raw:
            self.raw[inside] += text
            return
        self.words.append(text)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += text

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def table(self, head):
        """The rows of the table whose first head that is."""
        return next(rows for rows in self.tables if rows[0][0] == head)
