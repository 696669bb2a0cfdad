"""Memory: how much is free, how much this process holds, and how much data may take."""

import re
from pathlib import Path

import psutil

from ..errors import DataError
from ..text import show_size

# Share of the free memory that data may take by default.
SHARE = 0.5
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY_UNITS = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def parse_size(text):
    """Bytes of a size such as 500MB, 2G, 1.5GiB, or a number of bytes.

    Raises
    ------
    DataError
        Not a size, or not positive.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        number, unit = float(text), ""
    else:
        found = re.fullmatch(
            r"\s*([0-9]*\.?[0-9]+(?:e[0-9]+)?)\s*([a-z]*?)b?\s*", str(text).lower()
        )
        number, unit = (float(found[1]), found[2]) if found else (0.0, "")
    factor = (_UNITS | _BINARY_UNITS).get(unit)
    if factor is None or not 1 <= number * factor < 2**62:
        raise DataError(f"memory: {text!r} is not a size; write 500MB, 2GB or 1.5GiB")
    return int(number * factor)


def anonymous_bytes():
    """Memory of this process that is not backed by files (all of its memory if not on Linux)."""
    try:
        found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else psutil.Process().memory_info().rss


def free_bytes():
    """Free memory of the machine, or of the container if that is less."""
    return max(0, min([psutil.virtual_memory().available, *_left_in_groups()]))


def free_share():
    """Bytes that data may take by default."""
    return int(SHARE * free_bytes())


def _left_in_groups(root="/sys/fs/cgroup", membership="/proc/self/cgroup"):
    """Bytes left under the limit of each Linux control group that this process is in."""
    try:
        lines = Path(membership).read_text().splitlines()
    except OSError:
        return []
    left = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            files, base = ("memory.max", "memory.current"), Path(root)
        elif "memory" in controllers.split(","):
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            base = Path(root, "memory")
        else:
            continue
        group = base / path.lstrip("/")
        # limits of parent groups hold, too; in a container the path may be the host's
        for folder in dict.fromkeys([group, *group.parents, base]):
            if folder == base or base in folder.parents:
                left += _left_in(folder, *files)
    return left


def _left_in(folder, limit_file, usage_file):
    try:
        limit = (folder / limit_file).read_text().strip()
        if limit == "max":
            return []
        used = int((folder / usage_file).read_text())
        # the system frees the group's page cache when memory is needed
        cache = re.search(
            r"^(?:total_)?inactive_file (\d+)", (folder / "memory.stat").read_text(), re.M
        )
    except (OSError, ValueError):
        return []
    return [int(limit) - used + (int(cache[1]) if cache else 0)]


def room_for_data(promise, working):
    """Bytes that data may take so that the process stays within `promise`.

    Parameters
    ----------
    promise : int or None
        Anonymous memory of the whole process; None for `free_share`.
    working : int
        What the work needs besides data, beyond what the process holds now.

    Raises
    ------
    DataError
        The promise cannot be kept.
    """
    if promise is None:
        return max(0, free_share() - working)
    held = anonymous_bytes()
    room = promise - held - working
    if room < 0:
        needed = 10 * 10**6 * -(-(held + working) // (10 * 10**6))
        raise DataError(
            f"memory: {show_size(promise)} is too little; the program and its buffers take about "
            f"{show_size(needed)} here, whatever the number of rows"
        )
    return room


def describe(promise):
    """The promise in words."""
    if promise is None:
        return f"{SHARE:.0%} of the {show_size(free_bytes())} that are free"
    return show_size(promise)
