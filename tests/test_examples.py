"""The worked examples run, and say what they say they do."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from gmm_fast import load

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name, *arguments):
    """What an example prints; it runs as a user runs it, and a warning fails it."""
    command = [sys.executable, "-W", "error", EXAMPLES / name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_blobs(tmp_path):
    text = run("blobs.py", tmp_path)
    rows = re.findall(r"^ *(\d+) +([\d.]+) +([\d.]+) +([\d.]+)$", text, re.M)
    assert [int(row[0]) for row in rows] == list(range(2, 11))
    assert rows[2][3] == "0.6502"  # what the script before this package found
    assert min(rows, key=lambda row: float(row[1]))[0] == "4"
    assert max(rows, key=lambda row: float(row[3]))[0] == "3"
    assert "BIC chooses K = 4: adjusted Rand index 0.950" in text
    assert "the silhouette chooses K = 3" in text
    assert "DBSCAN, eps = 0.5: 3 clusters, 79 samples in none" in text
    for name in ("blobs.png", "blobs.criteria.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.size[0] >= 600


@pytest.mark.slow
def test_segmentation(tmp_path):
    text = run("segmentation.py", tmp_path, 4)
    colours = re.findall(r"#([0-9a-f]{6})", text)
    with Image.open(tmp_path / "china.segments.png") as picture:
        assert picture.size == (640, 427)
        drawn = {bytes(colour).hex() for _, colour in picture.getcolors()}
    assert drawn == set(colours)
    assert len(set(colours)) == 4
    shares = [float(share) for share in re.findall(r"^ *([\d.]+)%", text, re.M)]
    assert sum(shares) == pytest.approx(100, abs=0.3)


@pytest.mark.slow
def test_cytometry(tmp_path):
    text = run("cytometry.py", tmp_path, 40_000)
    assert "40,000 x 12" in text
    assert re.search(r"^ \* +9 ", text, re.M)  # of six to twelve, as many as there are populations
    assert load(tmp_path / "cells.gmm.npz").n_components == 9
    page = (tmp_path / "cells.html").read_text()
    words = re.sub(r"<[^>]*>", "", page)
    assert "gmm-fast search 6 12 cells.parquet --report cells.html" in words
    assert "HLA-DR" in page
    assert "<svg" in page or "data:image/png" in page
    found = re.findall(r"^ +(\d) +([\d.]+)% +(\d+) +([\d.]+)% +([\d.]+)%$", text, re.M)
    assert len(found) == 9
    assert len({row[2] for row in found}) == 9
    assert min(float(row[3]) for row in found) > 80
    assert os.path.getsize(tmp_path / "cells.parquet") > 40_000 * 12
