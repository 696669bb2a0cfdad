"""Anonymous memory of `gmm-fast fit` on a file that is larger than it may use.

    python bench/memory.py                      # 20,000,000 x 8 float64, 1.3 GB
    python bench/memory.py --rows 2000000 --k 4

Writes the file into a temporary folder, fits it in a process of its own, and prints the peak of
RssAnon (Linux) that was seen: memory that is the process's own, not the page cache's.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def write_data(path, n, d, seed=0, dtype=np.float64):
    """Blobs, a million rows at a time."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    centres = (3.0 * rng.normal(size=(8, d))).astype(dtype)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(n, d))
    for start in range(0, n, 1_000_000):
        m = min(1_000_000, n - start)
        part = rng.standard_normal((m, d), dtype=dtype)
        out[start : start + m] = centres[rng.integers(0, 8, m)] + part
    out.flush()


def anonymous_bytes(pid):
    """RssAnon of a process, 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    lines = [line for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(lines[0].split()[1]) * 1024 if lines else 0


def peak_of(command, cwd):
    """Run a command; returns its standard output, its peak RssAnon and its seconds."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=cwd) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, anonymous_bytes(process.pid))
            time.sleep(0.02)
        output = process.stdout.read()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed with status {process.returncode}")
    return output, peak, time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--features", type=int, default=8)
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--memory", default="300MB", help="that the fit is to stay within")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npy"
        write_data(data, args.rows, args.features)
        size = data.stat().st_size
        command = [sys.executable, "-m", "gmm_fast", "fit", "--k", str(args.k), "--json"]
        command += ["--memory", args.memory]
        output, peak, seconds = peak_of([*command, data.name], folder)
    fit = json.loads(output)
    print(f"file {size / 1e6:,.0f} MB ({args.rows:,} x {args.features}), K = {args.k}")
    print(f"peak anonymous memory {peak / 1e6:.0f} MB")
    print(
        f"{seconds:.1f} s in all, {fit['n_iter']} iterations, "
        f"{fit['seconds']['em'] / (fit['n_iter'] + 1):.2f} s a pass over the data"
    )


if __name__ == "__main__":
    main()
