"""Put numbers, criteria and the choice into words for the page."""

import math

import numpy as np

from .. import text
from ..mixture.families import get_family
from ..selection.criteria import HIGHER
from ..text import count
from .facts import is_number

DASH = "–"
# Limits on the characters of a name in a cell, and of any other text.
LONGEST_NAME = 40
LONGEST_VALUE = 1000
# Elements of a list to show.
MOST_ELEMENTS = 20

# By criterion: its name, decimals, what it is, and how to read it.
CRITERIA = {
    "bic": (
        "BIC", 1,
        "the Bayesian information criterion, −2 log-likelihood + parameters × ln n (Schwarz 1978), "
        "weighs how well a model fits against how many parameters it needs.",
        "Lower is better; differences below 2 mean nothing, above 10 they are very strong (Kass & "
        "Raftery 1995). Some programs print its negative.",
    ),
    "aic": (
        "AIC", 1,
        "Akaike’s information criterion, −2 log-likelihood + 2 × parameters (Akaike 1974), "
        "estimates how well a model would predict new data.",
        "Lower is better; with many samples it tends to choose more components than BIC.",
    ),
    "icl": (
        "ICL", 1,
        "the integrated completed likelihood is BIC plus a penalty for samples that could belong "
        "to several components (Biernacki, Celeux & Govaert 2000).",
        "Lower is better; it prefers clusters that are well apart, while BIC prefers whatever "
        "describes the density.",
    ),
    "silhouette": (
        "silhouette", 4,
        "the mean silhouette compares, for every sample, the distance to its own cluster with that "
        "to the nearest other one (Rousseeuw 1987).",
        "Between −1 and 1, higher is better; it favours round clusters that are well apart, "
        "and is not defined for one component.",
    ),
    "cv": (
        "CV", 4,
        "the cross-validated log-likelihood is the mean log-likelihood of samples that were held "
        "out of the fit (Smyth 2000), ± its standard error over the folds.",
        "Higher is better; a difference within the standard error is slight.",
    ),
}  # fmt: skip


def number(value, digits=1):
    """A number as text; a dash where it is undefined."""
    return text.number(value, digits) if is_number(value) else DASH


def plain_value(value):
    """The value of a setting as text."""
    if value is None:
        return DASH
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating):
        return f"{value:.6g}" if math.isfinite(value) else DASH
    if isinstance(value, list | tuple | np.ndarray):
        some = [plain_value(v) for v in value[:MOST_ELEMENTS]]
        return ", ".join(some) + (f", … ({len(value):,})" if len(value) > len(some) else "")
    return text.shorten(str(value), LONGEST_VALUE)


def title(facts):
    name = (facts.get("data") or {}).get("name")
    what = "fit" if facts["criterion"] is None else "search"
    return f"Gaussian mixture {what}" + ("" if name is None else f" of {text.shorten(name, 80)}")


def choice(facts, rows):
    """The choice and its margin, in sentences."""
    best, criterion = facts["best"], facts["criterion"]
    model = _model(best["n_components"], best["covariance_type"])
    if criterion is None:
        return [f"{model}, as asked for."]
    how = "highest" if criterion in HIGHER else "lowest"
    sentence = f"{_subject(criterion)} is {how} for {model}"
    if facts.get("runner_up") is None or not is_number(facts.get("margin")):
        found = [f"{sentence}; there is nothing to compare it with."]
    else:
        k, family = _pair(facts["runner_up"])
        margin = number(facts["margin"], CRITERIA[criterion][1])
        worse = "lower" if criterion in HIGHER else "worse"
        found = [f"{sentence}; the runner-up, {k:,} {family}, is {margin} {worse}."]
    if facts.get("early_stop") is not None:
        found.append(
            f"The search stopped early, at {count(facts['early_stop'], 'component')}: "
            f"{CRITERIA[criterion][0]} no longer improved."
        )
    return found


def _subject(criterion):
    name = CRITERIA[criterion][0]
    return {"silhouette": "The silhouette", "CV": "The cross-validated log-likelihood"}.get(
        name, name
    )


def _model(k, family):
    shared, mclust = get_family(family).shared, get_family(family).mclust_name
    covariances = "covariance" if k == 1 or shared else "covariances"
    article = "a " if shared else ""
    return f"{count(k, 'component')} with {article}{family} {covariances} ({mclust})"


def _pair(runner_up):
    if isinstance(runner_up, dict):
        return runner_up["n_components"], runner_up["covariance_type"]
    return runner_up


def has_values(rows, name):
    return any(is_number(row.get(name)) for row in rows)


def glossary(rows):
    """(name, what it is, how to read it) of the criteria that the page shows."""
    return [
        (called, what, how)
        for name, (called, _, what, how) in CRITERIA.items()
        if name != "cv" or has_values(rows, "cv")
    ]
