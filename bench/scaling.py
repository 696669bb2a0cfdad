"""Seconds per EM iteration as n, d, K and the threads grow, with fitted slopes, as a picture.

    python bench/scaling.py --out bench/results    # scaling.json, scaling.md, scaling.png

A slope is that of a straight line through the logarithms: 1 is linear growth, -1 perfect use of
more threads. Needs matplotlib (the `plot` extra).
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import machine
import numba
import numpy as np
from competitors import Ours
from figures import table
from report import sentence
from timing import plan
from work import Row, Work

N, D, K = 100_000, 16, 16
AXES = {
    "n": [Row(n, D, K) for n in (10_000, 30_000, 100_000, 300_000, 1_000_000)],
    "d": [Row(20_000, d, K) for d in (2, 4, 8, 16, 32, 64, 128)],
    "K": [Row(20_000, D, k) for k in (2, 4, 8, 16, 32, 64, 128)],
    "threads": [Row(N, D, K)],
}
# What arithmetic alone would give, far from fixed costs.
EXPECTED = {"n": "1", "d": "towards 2", "K": "1", "threads": "-1"}
MEANING = {
    "n": "samples n",
    "d": "features d",
    "K": "components K",
    "threads": "threads",
}


def seconds_per_iteration(work, threads, rounds):
    """Median of the differences of long and short runs."""
    ours = Ours(work, np.float64, threads)
    ours.run(1)
    short, long = ours.run(1), ours.run(3)
    about = max((long.seconds - short.seconds) / 2, long.seconds / 8)
    (few, many), rounds = plan(about, rounds, budget=4.0)
    found = []
    for _ in range(rounds):
        time.sleep(0.05)
        found.append((ours.run(many).seconds - ours.run(few).seconds) / (many - few))
    return statistics.median(found)


def points_of(axis, shapes, rounds):
    """(value on the axis, row, seconds per iteration) along one axis."""
    most = numba.config.NUMBA_NUM_THREADS
    if axis == "threads":
        work = Work.make(shapes[0])
        counts = sorted({1, most, *(2**i for i in range(12) if 2**i <= most)})
        return [(t, shapes[0], seconds_per_iteration(work, t, rounds)) for t in counts]
    index = "ndK".index(axis)
    return [
        (row[index], row, seconds_per_iteration(Work.make(row), most, rounds)) for row in shapes
    ]


def slope(values, seconds):
    """Of the least-squares line through the logarithms; None for fewer than two points."""
    if len(values) < 2:
        return None
    return float(np.polyfit(np.log(values), np.log(seconds), 1)[0])


def measure(axes, rounds):
    """{axis: {values, seconds, slopes, fixed}} of every axis, printed as it comes."""
    found = {}
    for axis, shapes in axes.items():
        points = points_of(axis, shapes, rounds)
        values, rows, seconds = zip(*points, strict=True)
        half = len(values) // 2
        found[axis] = {
            "values": values,
            "seconds": seconds,
            "slope": slope(values, seconds),
            # where fixed costs no longer count
            "slope_upper_half": slope(values[half:], seconds[half:]),
            "fixed": fixed(axis, rows[0]),
        }
        for value, spent in zip(values, seconds, strict=True):
            print(f"  {axis} = {value:>9,}  {1e3 * spent:10.3f} ms", flush=True)
        print(f"  slope over {MEANING[axis]}: {shown(found[axis]['slope'])}", flush=True)
    return found


def fixed(axis, row):
    """What stays the same along an axis, as text."""
    sizes = {"n": f"{row.n:,}", "d": row.d, "K": row.k}
    return ", ".join(f"{name} = {size}" for name, size in sizes.items() if name != axis)


def shown(value):
    return "–" if value is None else f"{value:.2f}"


def draw(found, path):
    """The picture: one panel for each axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 2, figsize=(10, 7.5), layout="constrained")
    for panel, (axis, data) in zip(panels.flat, found.items(), strict=False):
        draw_axis(panel, axis, data)
    figure.suptitle("gmm-fast, full covariance, float64: time of an EM iteration")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def draw_axis(panel, axis, data):
    """Points, and the fitted line dashed."""
    values, seconds = np.array(data["values"], float), np.array(data["seconds"])
    panel.loglog(values, 1e3 * seconds, "o-", label="measured")
    if data["slope"] is not None:
        level = np.exp(np.mean(np.log(seconds) - data["slope"] * np.log(values)))
        line = 1e3 * level * values ** data["slope"]
        panel.loglog(values, line, "--", color="grey", label="fitted to all points")
    panel.set_title(f"{MEANING[axis]}: {slopes_text(data)}\n{data['fixed']}", fontsize=10)
    panel.set_xlabel(MEANING[axis])
    panel.set_ylabel("ms per iteration")
    plain_ticks(panel, values, 1e3 * seconds)
    panel.grid(True, which="major", alpha=0.3)
    panel.legend()


def slopes_text(data):
    """Both slopes, where there are enough points for two."""
    text = f"slope {shown(data['slope'])}"
    if data["slope_upper_half"] is not None:
        text += f" (upper half {shown(data['slope_upper_half'])})"
    return text


def plain_ticks(panel, values, heights):
    """Numbers as people write them: the points' own below, 1, 2, 5, 10 and so on at the side."""
    steps = [m * 10.0**e for e in range(-6, 9) for m in (1, 2, 5)]
    low = max((t for t in steps if t <= min(heights)), default=steps[0])
    high = min((t for t in steps if t >= max(heights)), default=steps[-1])
    inside = [t for t in steps if low <= t <= high]
    panel.set_xticks(values, [f"{v:,.0f}" for v in values])
    panel.set_yticks(inside, [f"{t:g}" for t in inside])
    panel.set_ylim(0.95 * min(heights.min(), low), 1.05 * max(heights.max(), high))
    panel.minorticks_off()


def markdown(found, facts):
    """Slopes and points as a document."""
    lines = [
        "# Cost of an EM iteration as work grows",
        "",
        f"Made by `make bench-scaling`: full covariance, float64. {sentence(facts)}",
        "",
        "![time of an EM iteration](scaling.png)",
        "",
        "Slopes are of straight lines through the logarithms, over all points and over the upper "
        "half, where what happens once an iteration no longer counts.",
        "",
    ]
    rows = []
    for axis, data in found.items():
        pairs = zip(data["values"], data["seconds"], strict=True)
        points = ", ".join(f"{value:,}: {1e3 * spent:.2f}" for value, spent in pairs)
        slopes = [shown(data["slope"]), shown(data["slope_upper_half"]), EXPECTED[axis]]
        rows.append([MEANING[axis], data["fixed"], *slopes, points])
    lines += table(
        ["growing", "fixed", "slope", "upper half", "expected", "ms per iteration"], rows
    )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for scaling.json, .md and .png")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most-rows", type=int, default=1_000_000, help="leave out larger data")
    args = parser.parse_args()
    axes = {
        axis: [row._replace(n=min(row.n, args.most_rows)) for row in shapes]
        for axis, shapes in AXES.items()
    }
    axes["n"] = list(dict.fromkeys(axes["n"]))
    found = measure(axes, args.rounds)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        facts = machine.facts()
        text = json.dumps({"machine": facts, "axes": found}, indent=1)
        (args.out / "scaling.json").write_text(text + "\n")
        (args.out / "scaling.md").write_text(markdown(found, facts))
        draw(found, args.out / "scaling.png")


if __name__ == "__main__":
    main()
