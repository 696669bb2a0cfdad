"""Seconds per EM iteration as n, d, K and the threads grow, with fitted slopes, as a picture.

    python bench/scaling.py --out bench/results    # scaling.json, scaling.md, scaling.png

A slope is that of a straight line through the logarithms: 1 is linear growth, -1 perfect use of
more threads. Needs matplotlib (the `plot` extra).
"""

import numba
import numpy as np
import report
from competitors import Ours
from timing import measure
from work import Row, Work

N, D, K = 100_000, 16, 16
AXES = {
    "n": [Row(n, D, K) for n in (10_000, 30_000, 100_000, 300_000, 1_000_000)],
    "d": [Row(20_000, d, K) for d in (2, 4, 8, 16, 32, 64, 128)],
    "K": [Row(20_000, D, k) for k in (2, 4, 8, 16, 32, 64, 128)],
    "threads": [Row(N, D, K)],
}
MEANING = {"n": "samples n", "d": "features d", "K": "components K", "threads": "threads"}
# What arithmetic alone would give, far from fixed costs.
EXPECTED = {"n": "1", "d": "towards 2", "K": "1", "threads": "-1"}
HEAD = "growing | fixed | slope | upper half | expected | ms per iteration"
BUDGET = 4.0  # seconds of a point, about


def seconds_per_iteration(row, threads, rounds):
    """Median of the differences of long and short runs."""
    work = Work.make(row)
    (found,) = measure(work, [Ours(work, np.float64, threads)], rounds, BUDGET)[0].values()
    return found.median


def points_of(axis, shapes):
    """(value on the axis, row, threads) along one axis."""
    most = numba.config.NUMBA_NUM_THREADS
    if axis == "threads":
        counts = {1, most, *(2**i for i in range(12) if 2**i <= most)}
        return [(count, shapes[0], count) for count in sorted(counts)]
    return [(row["ndK".index(axis)], row, most) for row in shapes]


def slope(values, seconds):
    """Of the least-squares line through the logarithms; None for fewer than two points."""
    if len(values) < 2:
        return None
    return float(np.polyfit(np.log(values), np.log(seconds), 1)[0])


def along(axis, shapes, rounds):
    """{values, seconds, slopes, fixed} of an axis, printed as it comes."""
    values, seconds = [], []
    for value, row, threads in points_of(axis, shapes):
        values.append(value)
        seconds.append(seconds_per_iteration(row, threads, rounds))
        print(f"  {axis} = {value:>9,}  {1e3 * seconds[-1]:10.3f} ms", flush=True)
    half = len(values) // 2
    sizes = {"n": f"{shapes[0].n:,}", "d": shapes[0].d, "K": shapes[0].k}
    return {
        "values": values,
        "seconds": seconds,
        "slope": slope(values, seconds),
        # where fixed costs no longer count
        "slope_upper_half": slope(values[half:], seconds[half:]),
        "fixed": ", ".join(f"{name} = {size}" for name, size in sizes.items() if name != axis),
    }


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
    values, times = np.array(data["values"], float), 1e3 * np.array(data["seconds"])
    panel.loglog(values, times, "o-", label="measured")
    if data["slope"] is not None:
        level = np.exp(np.mean(np.log(times) - data["slope"] * np.log(values)))
        line = level * values ** data["slope"]
        panel.loglog(values, line, "--", color="grey", label="fitted to all points")
    slopes = f"slope {shown(data['slope'])}"
    if data["slope_upper_half"] is not None:
        slopes += f" (upper half {shown(data['slope_upper_half'])})"
    panel.set_title(f"{MEANING[axis]}: {slopes}\n{data['fixed']}", fontsize=10)
    panel.set_xlabel(MEANING[axis])
    panel.set_ylabel("ms per iteration")
    plain_ticks(panel, values, times)
    panel.grid(True, which="major", alpha=0.3)
    panel.legend()


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


def row(axis, data):
    """An axis, as `HEAD` says."""
    pairs = zip(data["values"], data["seconds"], strict=True)
    points = ", ".join(f"{value:,}: {1e3 * spent:.2f}" for value, spent in pairs)
    slopes = [shown(data["slope"]), shown(data["slope_upper_half"])]
    return [MEANING[axis], data["fixed"], *slopes, EXPECTED[axis], points]


def markdown(content):
    """Slopes and points as a document."""
    facts = report.sentence(content["machine"])
    return report.document(
        "# Cost of an EM iteration as work grows",
        "",
        f"Made by `make bench-scaling`: full covariance, float64. {facts}",
        "",
        "![time of an EM iteration](scaling.png)",
        "",
        "Slopes are of straight lines through the logarithms, over all points and over the upper "
        "half, where what happens once an iteration no longer counts.",
        "",
        *report.table(HEAD, [row(axis, data) for axis, data in content["axes"].items()]),
    )


def main():
    parser = report.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most-rows", type=int, default=1_000_000, help="leave out larger data")
    args = parser.parse_args()
    found = {}
    for axis, shapes in AXES.items():
        smaller = [row._replace(n=min(row.n, args.most_rows)) for row in shapes]
        found[axis] = along(axis, list(dict.fromkeys(smaller)), args.rounds)
    report.save(args.out, "scaling", {"axes": found}, markdown)
    if args.out:
        draw(found, args.out / "scaling.png")


if __name__ == "__main__":
    main()
