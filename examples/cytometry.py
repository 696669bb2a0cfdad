"""From a file to a report: a search on data like a flow cytometer's, a million cells x 12 markers.

    python examples/cytometry.py [FOLDER] [CELLS]

draws cells of nine populations, from 38 % of all down to 0.4 %, which overlap heavily, writes them
to cells.parquet, searches K = 6..12 and writes cells.html and cells.gmm.npz.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gmm_fast import load

MARKERS = ("FSC", "SSC", "CD3", "CD4", "CD8", "CD19", "CD56", "CD14", "CD16", "CD45RA", "CD27")
MARKERS += ("HLA-DR",)
SHARES = (0.38, 0.22, 0.13, 0.10, 0.07, 0.05, 0.03, 0.016, 0.004)


def draw_cells(n, seed=0):
    """Cells (n, 12) float32, on a logarithmic scale as is usual, and their populations (n,)."""
    rng = np.random.default_rng(seed)
    d = len(MARKERS)
    populations = rng.choice(len(SHARES), n, p=SHARES)
    cells = np.empty((n, d), np.float32)
    levels = rng.choice([1.0, 2.2, 3.4], (len(SHARES), d))  # negative, dim, bright
    for k in range(len(SHARES)):
        spread = rng.normal(size=(d, d)) * 0.15
        covariance = spread @ spread.T + np.diag(rng.uniform(0.15, 0.5, d))
        rows = np.flatnonzero(populations == k)
        cells[rows] = rng.multivariate_normal(levels[k], covariance, len(rows))
    return cells, populations


def main(folder, n):
    cells, populations = draw_cells(n)
    table = pa.table(dict(zip(MARKERS, cells.T, strict=True)))
    pq.write_table(table, folder / "cells.parquet")
    print(
        f"cells.parquet: {n:,} x {len(MARKERS)}, populations of {SHARES[-1]:.1%} to {SHARES[0]:.0%}"
    )

    command = "search 6 12 cells.parquet --report cells.html -o cells.gmm.npz"
    print(f"$ gmm-fast {command}", flush=True)
    subprocess.run([sys.executable, "-m", "gmm_fast", *command.split()], cwd=folder, check=True)

    model = load(folder / "cells.gmm.npz")
    found = model.predict(folder / "cells.parquet")  # columns by their names
    print("\npopulation  share  found as  of them   of it")
    for k, share in enumerate(SHARES):
        here = populations == k
        counts = np.bincount(found[here], minlength=model.n_components)
        component = int(np.argmax(counts))
        purity = counts[component] / np.count_nonzero(found == component)
        recall = counts[component] / np.count_nonzero(here)
        print(f"{k:10} {share:6.1%} {component:9} {recall:8.1%} {purity:7.1%}")


if __name__ == "__main__":
    main(
        Path(sys.argv[1] if len(sys.argv) > 1 else "."),
        int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000,
    )
