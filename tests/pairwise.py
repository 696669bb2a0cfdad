"""Cases in which all values of any two parameters meet, instead of every combination of all."""

from itertools import combinations, product

import pytest


def pairs_of(case):
    """The values of any two parameters of a case, with the places of those parameters."""
    return set(combinations(enumerate(case), 2))


def pairwise(**parameters):
    """Decorator: `pytest.mark.parametrize` over few cases, the same ones each time.

    Where a law is the same for all values, a fault needs one of them, or two that meet. Each case
    is the one with most pairs that no case before it has.
    """
    places = [range(len(values)) for values in parameters.values()]
    left = set().union(*map(pairs_of, product(*places)))
    cases = []
    while left:
        case = max(product(*places), key=lambda case: len(pairs_of(case) & left))
        left -= pairs_of(case)
        cases.append([values[i] for values, i in zip(parameters.values(), case, strict=True)])
    return pytest.mark.parametrize(tuple(parameters), cases)
