"""What whole processes take: the first fit ever, later ones, `--help`; memory beyond the data."""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import targets
from figures import Figure
from memory import anonymous_bytes
from work import blobs

# A process that loads data, imports, says so, and fits once it is told to.
FIT_PROGRAM = """
import sys
import numpy as np
from gmm_fast import GaussianMixture
import warnings

warnings.simplefilter("ignore")
path, how, k, max_iter = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
data = np.load(path) if how == "array" else np.load(path, mmap_mode="r")
if "warm" in sys.argv:
    GaussianMixture(k, max_iter=1).fit(np.array(data[: 50 * k]))
print("ready", flush=True)
sys.stdin.readline()
GaussianMixture(k, max_iter=max_iter, random_state=0).fit(data if how == "array" else path)
print("done", flush=True)
sys.stdin.readline()
"""


def write_rows(path, row, seed=3):
    np.save(path, blobs(row.n, row.d, row.k, np.random.default_rng(seed))[0])


def seconds_of(command, cwd, env=None):
    """Wall time of a process, which must succeed."""
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return seconds


def program():
    """The installed command, else the module."""
    script = Path(sys.executable).with_name("gmm-fast")
    return [str(script)] if script.exists() else [sys.executable, "-m", "gmm_fast"]


def process_times(rounds=5, row=targets.PROCESS_ROW):
    """First fit with nothing compiled, later fits, `--help`."""
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "data.npy", row)
        fit = [*program(), "fit", "--k", str(row.k), "data.npy", "--no-model"]
        env = os.environ | {"NUMBA_CACHE_DIR": str(Path(folder) / "cache")}
        first = seconds_of(fit, folder, env)
        later = [seconds_of(fit, folder, env) for _ in range(rounds)]
        seconds_of([*program(), "--help"], folder)  # compiles the byte code of a new checkout
        shown = [seconds_of([*program(), "--help"], folder) for _ in range(rounds)]
    size = f"{row.n:,} × {row.d}"
    return [
        ceiling(f"first `gmm-fast fit` ever, {size}", [first], targets.FIRST_FIT_SECONDS),
        ceiling(f"later `gmm-fast fit`, {size}", later, targets.FIT_SECONDS),
        ceiling("`gmm-fast --help`", shown, targets.HELP_SECONDS),
    ]


def ceiling(what, seconds, target):
    detail = f"[{min(seconds):.2f}, {max(seconds):.2f}]" if len(seconds) > 1 else ""
    return Figure(what, statistics.median(seconds), "s", target, at_least=False, detail=detail)


def memory(row=targets.MEMORY_ROW, max_iter=3):
    """Anonymous memory of fits above the level with the data loaded, MB.

    An array is in memory before the fit; a file is not, and what the fit holds of it counts.
    """
    if not Path("/proc/self/status").exists():
        return []
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npy"
        write_rows(path, row)
        for how in ("array", "file"):
            cold = memory_of_fit(path, how, row.k, max_iter)
            warm = memory_of_fit(path, how, row.k, max_iter, "warm")
            figures.append(
                Figure(
                    f"memory beyond the data, {row}, {how}",
                    cold,
                    "MB",
                    targets.MEMORY_MB,
                    at_least=False,
                    detail=f"{warm:.0f} MB where compiled kernels were loaded before",
                )
            )
    return figures


def memory_of_fit(path, how, k, max_iter, *more):
    """Peak of RssAnon during a fit above that before it, MB."""
    command = [sys.executable, "-c", FIT_PROGRAM, str(path), how, str(k), str(max_iter), *more]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        expect(process, "ready")
        before = anonymous_bytes(process.pid)
        peak, over = [before], threading.Event()
        watcher = threading.Thread(target=watch, args=(process.pid, peak, over))
        watcher.start()
        tell(process)
        expect(process, "done")
        over.set()
        watcher.join()
        tell(process)
    return (max(peak) - before) / 1e6


def watch(pid, seen, over):
    """Note the process's anonymous memory until `over`."""
    while not over.is_set():
        seen.append(anonymous_bytes(pid))
        time.sleep(0.01)


def tell(process):
    process.stdin.write("\n")
    process.stdin.flush()


def expect(process, word):
    if process.stdout.readline().strip() != word:
        raise SystemExit("the fit whose memory is measured failed")
