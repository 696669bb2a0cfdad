"""Data sets of tens and hundreds of millions of rows: made, fitted from the file, and removed.

    python bench/large.py                              # 10,000,000 x 8 and 100,000,000 x 4 float32
    python bench/large.py --sizes 2000000,8,float64 --k 4 --iterations 3

Each file is written into a temporary folder (`--folder` says where) and fitted by a process of
its own, which is to stay within 300 MB. Its anonymous memory (RssAnon, Linux) is watched: what is
the process's own, not the page cache's. Prints rows per second and iteration.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import report


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


def write_data(path, size):
    """Eight blobs, a million rows at a time."""
    rng = np.random.default_rng(0)
    centres = (3.0 * rng.normal(size=(8, size.d))).astype(size.dtype)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=size.dtype, shape=size[:2])
    for start in range(0, size.n, 1_000_000):
        m = min(1_000_000, size.n - start)
        part = rng.standard_normal((m, size.d), dtype=size.dtype)
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
            time.sleep(0.01)
        output = process.stdout.read()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed with status {process.returncode}")
    return output, peak, time.perf_counter() - started


def fit_file(data, k, iterations, memory, folder):
    """Fit a file of `folder` in a process of its own; what it reports, peak bytes, seconds."""
    command = [sys.executable, "-m", "gmm_fast", "fit", "--k", str(k), "--json", "--no-model"]
    # tol 0: all iterations are done, whatever the data
    command += ["--max-iter", str(iterations), "--tol", "0", "--memory", memory, data]
    output, peak, seconds = peak_of(command, folder)
    return json.loads(output), peak, seconds


def measure(size, args):
    """Make, fit and remove one file. Returns JSON values."""
    check_space(size, args.folder)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        write_data(Path(folder) / "data.npy", size)
        fit, peak, seconds = fit_file("data.npy", args.k, args.iterations, MEMORY, folder)
    a_pass = fit["seconds"]["em"] / (fit["n_iter"] + 1)  # one E-step more than iterations
    return {
        "n": size.n,
        "d": size.d,
        "dtype": size.dtype.name,
        "k": args.k,
        "bytes": size.nbytes,
        "n_iter": fit["n_iter"],
        "seconds": seconds,
        "seconds_of_fit": fit["seconds"],
        "seconds_per_iteration": a_pass,
        "rows_per_second": size.n / a_pass,
        "peak_anonymous_bytes": peak,
        "log_likelihood": fit["log_likelihood"],
    }


HEAD = "data | file | K | s per iteration | million rows/s | anonymous memory | in all"


def cells(r):
    """A result, as `HEAD` says."""
    return [
        f"{r['n']:,} × {r['d']} {r['dtype']}",
        f"{r['bytes'] / 1e9:.2f} GB",
        str(r["k"]),
        f"{r['seconds_per_iteration']:.2f}",
        f"{r['rows_per_second'] / 1e6:.1f}",
        f"{r['peak_anonymous_bytes'] / 1e6:.0f} MB",
        f"{r['seconds']:.1f} s, {r['n_iter']} iterations",
    ]


def markdown(content):
    """The table as a document."""
    made = f"Made by `make bench-large`. {report.sentence(content['machine'])}"
    rows = report.table(HEAD, map(cells, content["fits"]))
    return report.document("# Large files", "", made, "", *rows)


def main():
    parser = report.parser(__doc__)
    parser.add_argument("--sizes", nargs="+", type=Size.parse, default=SIZES, help="n,d,dtype")
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where files are made")
    args = parser.parse_args()
    fits = []
    for size in args.sizes:
        fits.append(measure(size, args))
        named = zip(HEAD.split(" | "), cells(fits[-1]), strict=True)
        print("; ".join(f"{name}: {cell}" for name, cell in named), flush=True)
    report.save(args.out, "large", {"fits": fits}, markdown)


if __name__ == "__main__":
    main()
