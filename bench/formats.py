"""How fast tables are read from files of each format, beside `.npy`.

    python bench/formats.py                  # 2,000,000 x 8, some two minutes
    python bench/formats.py --rows 200000

The same float32 values in each file, written by the package that the format is best known for; a
pass reads all rows in chunks, as EM does of data that does not fit into memory, on one thread, from
the page cache. Rates are of float32 values that arrive, not of bytes on disk, so that formats can
be compared; medians of rounds in turn.
"""

import gzip
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import report
import zarr
from flowio import create_fcs
from large import Size, write_data
from report import Figure

from gmm_fast.sources import chunks, open_source

ROWS, FEATURES = 2_000_000, 8
CHUNK = 1 << 16
FILES = {
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


def write_all(folder, rows):
    """Make `FILES` in a folder."""
    write_data(folder / "x.npy", Size(rows, FEATURES, np.dtype(np.float32)))
    x = np.load(folder / "x.npy")
    names = [f"x{j}" for j in range(FEATURES)]
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
        file.create_dataset("packed", data=x, chunks=(10_000, FEATURES), compression="gzip")
    zarr.create_array(str(folder / "x.zarr"), data=x, chunks=(100_000, FEATURES))


def read(path):
    """Seconds of a pass, and the sum of the values."""
    with open_source(path) as source:
        began = time.perf_counter()
        total = sum(float(piece.sum(dtype=np.float64)) for piece in chunks(source, CHUNK, "f4"))
        return time.perf_counter() - began, total


def measure(rows, rounds):
    """{format: seconds} of passes in turn."""
    seconds = {what: [] for what in FILES}
    with tempfile.TemporaryDirectory() as folder:
        write_all(Path(folder), rows)
        for turn in range(1 + rounds):
            found = {what: read(Path(folder) / file) for what, file in FILES.items()}
            want = found["NumPy (.npy)"][1]
            for what, (took, total) in found.items():
                if abs(total - want) > 1e-6 * rows:
                    raise SystemExit(f"{what}: not the same values: {total} and {want}")
                if turn:  # the first fills the page cache
                    seconds[what].append(took)
    return seconds


def figures_of(content):
    """Rates; of as many rows as a file of results names."""
    size = 4 * FEATURES * content.get("rows", ROWS) / 1e9
    middle = {what: statistics.median(times) for what, times in content["seconds"].items()}
    return [
        Figure(
            what,
            size / middle[what],
            "GB/s",
            detail=f"{100 * middle['NumPy (.npy)'] / middle[what]:.0f} % of the rate of .npy; "
            f"{min(times):.3f} to {max(times):.3f} s",
        )
        for what, times in content["seconds"].items()
    ]


def markdown(content):
    """The rates as a document."""
    title = f"# Reading files, {content.get('rows', ROWS):,} x {FEATURES} float32"
    made = f"Made by `make bench-scale`. {report.sentence(content['machine'])}"
    return report.document(title, "", made, "", *report.figure_table(figures_of(content)))


def main():
    parser = report.parser(__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    content = {"rows": args.rows, "seconds": measure(args.rows, args.rounds)}
    report.show(figures_of(content))
    report.save(args.out, "formats", content, markdown)


if __name__ == "__main__":
    main()
