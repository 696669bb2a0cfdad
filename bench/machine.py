"""What figures were measured on."""

import os
import platform
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


def facts():
    """Processor, threads and versions, as JSON values."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": numba.config.NUMBA_NUM_THREADS,
        "thread layer": thread_layer(),
        "memory": memory_gb(),
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


def memory_gb():
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError):
        return "unknown"


def blas():
    """What NumPy's products run on, and for how wide vectors."""
    pools = threadpool_info()
    names = {
        f"{p['internal_api']} {p['version']} {p.get('architecture', '')}".strip()
        for p in pools
        if p["user_api"] == "blas"
    }
    return ", ".join(sorted(names)) or "unknown"


def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
