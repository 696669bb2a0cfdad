"""Data sets of tens and hundreds of millions of rows: made, fitted from the file, and removed.

    python bench/large.py                              # 10,000,000 x 8 and 100,000,000 x 4 float32
    python bench/large.py --sizes 2000000,8,float64 --k 4 --iterations 3

Each file is written into a temporary folder (`--folder` says where) and fitted by a process of
its own, whose anonymous memory is watched. Prints rows per second and iteration.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import machine
import numpy as np
from figures import table
from memory import peak_of, write_data
from report import sentence


class Size(NamedTuple):
    """Shape and dtype of a file."""

    n: int
    d: int
    dtype: np.dtype

    def __str__(self):
        return f"{self.n:,} × {self.d} {self.dtype.name}"

    @property
    def nbytes(self):
        return self.n * self.d * self.dtype.itemsize

    @classmethod
    def parse(cls, text):
        n, d, dtype = text.split(",")
        return cls(int(n), int(d), np.dtype(dtype))


SIZES = (Size.parse("10000000,8,float64"), Size.parse("100000000,4,float32"))
MEMORY = "300MB"  # that fits stay within: files are streamed
SPARE = 2**30  # bytes left free on the disk, at least


def check_space(size, folder):
    """Refuse a file that does not fit on the disk."""
    free = shutil.disk_usage(folder).free
    if size.nbytes + SPARE > free:
        raise SystemExit(
            f"{size}: the file takes {size.nbytes / 1e9:.1f} GB, and {folder} has "
            f"{free / 1e9:.1f} GB free (1 GB of it is to stay so); name another folder with "
            "--folder, or smaller data with --sizes"
        )


def fit_file(size, k, iterations, folder):
    """Make, fit and remove one file. Returns JSON values."""
    check_space(size, folder)
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        data = Path(inside) / "data.npy"
        write_data(data, size.n, size.d, dtype=size.dtype)
        command = [sys.executable, "-m", "gmm_fast", "fit", "--k", str(k), "--json", "--no-model"]
        # tol 0: all iterations are done, whatever the data
        command += ["--max-iter", str(iterations), "--tol", "0", "--memory", MEMORY, data.name]
        output, peak, seconds = peak_of(command, inside)
    fit = json.loads(output)
    a_pass = fit["seconds"]["em"] / (fit["n_iter"] + 1)  # one E-step more than iterations
    return {
        "n": size.n,
        "d": size.d,
        "dtype": size.dtype.name,
        "k": k,
        "bytes": size.nbytes,
        "n_iter": fit["n_iter"],
        "seconds": seconds,
        "seconds_of_fit": fit["seconds"],
        "seconds_per_iteration": a_pass,
        "rows_per_second": size.n / a_pass,
        "peak_anonymous_bytes": peak,
        "log_likelihood": fit["log_likelihood"],
    }


def report(result):
    """One line for a terminal."""
    return (
        f"{result['n']:,} × {result['d']} {result['dtype']}, K = {result['k']} "
        f"({result['bytes'] / 1e9:.2f} GB): {result['rows_per_second'] / 1e6:.1f} million rows/s "
        f"an iteration, {result['seconds_per_iteration']:.2f} s; {result['n_iter']} iterations "
        f"and the start in {result['seconds']:.1f} s; peak anonymous memory "
        f"{result['peak_anonymous_bytes'] / 1e6:.0f} MB"
    )


def markdown(results, facts):
    """The table as a document."""
    head = ["data", "file", "K", "s per iteration", "million rows/s", "anonymous memory", "in all"]
    body = [
        [
            f"{r['n']:,} × {r['d']} {r['dtype']}",
            f"{r['bytes'] / 1e9:.2f} GB",
            str(r["k"]),
            f"{r['seconds_per_iteration']:.2f}",
            f"{r['rows_per_second'] / 1e6:.1f}",
            f"{r['peak_anonymous_bytes'] / 1e6:.0f} MB",
            f"{r['seconds']:.1f} s, {r['n_iter']} iterations",
        ]
        for r in results
    ]
    lines = ["# Large files", "", f"Made by `make bench-large`. {sentence(facts)}", ""]
    return "\n".join([*lines, *table(head, body)]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=Size.parse, default=SIZES, help="n,d,dtype")
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where files are made")
    parser.add_argument("--out", type=Path, help="folder for large.json and large.md")
    args = parser.parse_args()
    results = []
    for size in args.sizes:
        results.append(fit_file(size, args.k, args.iterations, args.folder))
        print(report(results[-1]), flush=True)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        facts = machine.facts()
        text = json.dumps({"machine": facts, "fits": results}, indent=1)
        (args.out / "large.json").write_text(text + "\n")
        (args.out / "large.md").write_text(markdown(results, facts))


if __name__ == "__main__":
    main()
