"""What default starts lead to: the best likelihood known, clusters in wide data, times, laws.

    python bench/starts.py                        # everything, 50 seeds, some forty minutes
    python bench/starts.py wide --seeds 5         # a group
    python bench/starts.py iris china_5 --out .   # some cases; of others the file keeps what it has

Groups: smooth and rugged cases (default fits from many seeds beside the best likelihood known),
unseen ones (the same on data that nobody tunes on), wide data (clusters, held-out rows), times
(beside scikit-learn's single start), rounded data (what searches choose), effort (likelihood
against it) and search (its laws).
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import machine
import starts_cases
import starts_effort
import starts_fits
import starts_laws
import starts_real
import starts_rounded
import starts_times
import starts_unseen
import starts_wide
from figures import lines, table
from report import HEAD, sentence, tally
from sklearn.exceptions import ConvergenceWarning

SEEDS = 50


@dataclass(frozen=True)
class Group:
    """Cases that are measured alike.

    Attributes
    ----------
    title, says : str
        Of its section.
    cases : dict of str -> callable
        What makes each case.
    measure : callable
        (name, case, seeds) -> what goes into the JSON.
    figures : callable
        Of such a result: its figures beside their targets.
    head, row
        Of the table: its heads, and the cells of a result.
    """

    title: str
    says: str
    cases: dict
    measure: Callable
    figures: Callable
    head: tuple
    row: Callable


def _of(module, title, says, cases=None):
    """The group that a module measures."""
    cases = module.CASES if cases is None else cases
    return Group(title, says, cases, module.measure, module.figures_of, module.HEAD, module.row)


FITS = (
    f"Fits at the defaults. Found is what ends within {starts_fits.NEAR:g} a sample of the best "
    "log-likelihood known: mclust's value where there is one, else the best of all runs, of EM "
    "from the components that samples were drawn from, and of bench/best_known.json, the long "
    "searches of bench/best_known.py. A fit is not sound, and not found, when a component has no "
    "more rows than features or has collapsed. scikit-learn makes as many fits as its seconds "
    f"allow, and {starts_fits.FEWEST} at least; what its n_init=10 reaches, where that takes "
    "minutes, is computed from its single starts: ten of them are what it is."
)
GROUPS = {
    "smooth": _of(starts_fits, "Smooth cases", FITS, starts_cases.CASES | starts_real.CASES),
    "rugged": _of(
        starts_fits,
        "Rugged cases",
        "The same on data with many nearly level optima.",
        starts_real.RUGGED_CASES,
    ),
    "unseen": _of(
        starts_fits,
        "Unseen cases",
        "The same on data that nobody tunes starts on.",
        starts_unseen.CASES,
    ),
    "wide": _of(
        starts_wide,
        "Wide data",
        "Full covariances, few rows for each; least … highest of the seeds (scikit-learn's in "
        "brackets). Held-out rows are drawn from the same clusters, or a fifth of the digits.",
    ),
    "rounded": _of(
        starts_rounded,
        "Rounded data",
        "What searches from 1 to 8 choose by BIC, a data set for each seed, and what default fits "
        "to photos in integers end in. Small counts are skewed: of Poisson's of 4 the lowest BIC, "
        "with the rounding taken into account or not, has two or three Gaussians.",
    ),
    "effort": _of(starts_effort, "Effort", "Likelihood against the effort of a fit."),
    "times": _of(
        starts_times,
        "Times",
        "Default fits in turn with scikit-learn's single start; median [lowest, highest].",
    ),
    "search": _of(
        starts_laws,
        "Search",
        "Laws of a search in log-likelihood a sample, the worst of all seeds and candidates.",
    ),
}


def group_of(name):
    """The group that a case belongs to."""
    return next(group for group in GROUPS.values() if name in group.cases)


def chosen(names):
    """The cases that names of cases and groups stand for, in order; all without any."""
    everything = [name for group in GROUPS.values() for name in group.cases]
    wanted = {n for name in names for n in (GROUPS[name].cases if name in GROUPS else [name])}
    return [name for name in everything if name in wanted] if names else everything


def measured(name, seeds):
    """The result of a case, its own seconds with it."""
    group = group_of(name)
    began = time.perf_counter()
    result = group.measure(name, group.cases[name](), seeds)
    return result | {"seeds": seeds, "seconds": time.perf_counter() - began}


def figures_of(name, result):
    return group_of(name).figures(result)


def section(group, results):
    """A group's part of the report."""
    mine = {name: result for name, result in results.items() if name in group.cases}
    if not mine:
        return []
    found = [figure for result in mine.values() for figure in group.figures(result)]
    text = [f"## {group.title}", "", f"{group.says} {tally(found)}.", ""]
    text += [*table(group.head, [group.row(result) for result in mine.values()]), ""]
    if found:
        text += [*table(HEAD, [figure.cells() for figure in found]), ""]
    return text


def markdown(results, facts):
    """The report."""
    found = [figure for name, result in results.items() for figure in figures_of(name, result)]
    seeds = sorted({result["seeds"] for result in results.values()})
    minutes = sum(result["seconds"] for result in results.values()) / 60
    text = [
        "# Starts",
        "",
        f"Made by `make bench-starts` in {minutes:.0f} minutes; {tally(found)}. {sentence(facts)}",
        "",
        f"Seeds asked for: {', '.join(map(str, seeds))}; fits that take long are made from fewer, "
        "as the tables say.",
        "",
    ]
    for group in GROUPS.values():
        text += section(group, results)
    return "\n".join(text)


def with_others(results, path):
    """Results of all cases, in order; of those not measured now what the file says."""
    before = json.loads(path.read_text())["results"] if path.exists() else {}
    if isinstance(before, dict):  # not a list, as it was in older files
        results = before | results
    return {name: results[name] for name in chosen([]) if name in results}


def write(folder, results):
    """Write starts.json and starts.md."""
    folder.mkdir(parents=True, exist_ok=True)
    results, facts = with_others(results, folder / "starts.json"), machine.facts()
    found = [figure for name, result in results.items() for figure in figures_of(name, result)]
    figures = [figure.as_json() for figure in found]
    content = {"machine": facts, "figures": figures, "results": results}
    (folder / "starts.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "starts.md").write_text(markdown(results, facts))


def main():
    known = [*GROUPS, *chosen([])]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help="groups or cases: " + ", ".join(known))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--out", type=Path, help="folder for starts.json and starts.md")
    args = parser.parse_args()
    if strange := set(args.cases) - set(known):
        parser.error(f"no such case: {', '.join(sorted(strange))}; choose from {', '.join(known)}")
    warnings.simplefilter("ignore", ConvergenceWarning)  # scikit-learn's, and of two iterations
    results = {}
    for name in chosen(args.cases):
        results[name] = measured(name, args.seeds)
        shown = lines(figures_of(name, results[name]))
        print("\n".join(shown or [f"  {name}: {results[name].get('note', '')}"]), flush=True)
        if args.out:  # as far as it has come, should it be stopped
            write(args.out, results)
    print(
        tally([figure for name, result in results.items() for figure in figures_of(name, result)])
    )


if __name__ == "__main__":
    main()
