"""How fast tables are read from files of each format, beside `.npy`.

    python bench/formats.py                  # 2,000,000 x 8, some two minutes
    python bench/formats.py --rows 200000

The same float32 values in each file, written by the package that the format is best known for; a
pass reads all rows in chunks, as EM does of data that does not fit into memory, on one thread, from
the page cache. Rates are of float32 values that arrive, not of bytes on disk, so that formats can
be compared; medians of rounds in turn.
"""

import argparse
import gzip
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import figures
import h5py
import machine
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import zarr
from figures import Figure
from flowio import create_fcs
from memory import write_data
from report import HEAD, sentence

from gmm_fast.sources import chunks, open_source

ROWS, FEATURES = 2_000_000, 8
CHUNK = 1 << 16


def write_all(folder, x):
    """Files by what they are called in the table."""
    names = [f"x{j}" for j in range(x.shape[1])]
    table = pa.table(dict(zip(names, np.ascontiguousarray(x.T), strict=True)))
    pa.parquet.write_table(table, folder / "x.parquet")
    pa.feather.write_feather(table, folder / "x.feather", compression="uncompressed")
    pa.csv.write_csv(table, folder / "x.csv")
    with open(folder / "x.csv", "rb") as plain, gzip.open(folder / "x.csv.gz", "wb", 1) as packed:
        shutil.copyfileobj(plain, packed)
    (folder / "x.txt").write_bytes((folder / "x.csv").read_bytes().replace(b",", b"  "))
    with open(folder / "x.fcs", "wb") as file:
        create_fcs(file, x.ravel().tolist(), names)
    with h5py.File(folder / "x.h5", "w") as file:
        file.create_dataset("x", data=x)
        file.create_dataset("packed", data=x, chunks=(10_000, x.shape[1]), compression="gzip")
    zarr.create_array(str(folder / "x.zarr"), data=x, chunks=(100_000, x.shape[1]))
    return {
        "NumPy (.npy)": "x.npy",
        "Parquet": "x.parquet",
        "Feather": "x.feather",
        "CSV": "x.csv",
        "CSV, gzip": "x.csv.gz",
        "text, blanks": "x.txt",
        "FCS": "x.fcs",
        "HDF5": "x.h5:/x",
        "HDF5, gzip": "x.h5:/packed",
        "Zarr": "x.zarr",
    }


def read(path):
    """Seconds of a pass, and the sum of the values."""
    with open_source(path) as source:
        began = time.perf_counter()
        total = sum(float(piece.sum(dtype=np.float64)) for piece in chunks(source, CHUNK, "f4"))
        return time.perf_counter() - began, total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="folder for formats.json and formats.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder / "x.npy", args.rows, FEATURES, dtype=np.float32)
        files = write_all(folder, np.load(folder / "x.npy"))
        seconds = {what: [] for what in files}
        for number in range(1 + args.rounds):
            want = None
            for what, file in files.items():
                took, total = read(str(folder / file))
                want = total if want is None else want
                if abs(total - want) > 1e-6 * args.rows:
                    raise SystemExit(f"{what}: not the same values: {total} and {want}")
                if number:  # the first fills the page cache
                    seconds[what].append(took)
    size = 4 * FEATURES * args.rows / 1e9
    npy = statistics.median(next(iter(seconds.values())))
    found = []
    for what, times in seconds.items():
        middle = statistics.median(times)
        detail = f"{100 * npy / middle:.0f} % of the rate of .npy; {min(times):.3f} to "
        found.append(Figure(what, size / middle, "GB/s", detail=f"{detail}{max(times):.3f} s"))
    print("\n".join(figures.lines(found)))
    if args.out:
        facts = machine.facts()
        title = f"# Reading files, {args.rows:,} x {FEATURES} float32"
        table = figures.table(HEAD, [figure.cells() for figure in found])
        lines = [title, "", f"Made by `make bench-scale`. {sentence(facts)}", "", *table]
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "formats.md").write_text("\n".join(lines) + "\n")
        content = {"machine": facts, "seconds": seconds}
        (args.out / "formats.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
