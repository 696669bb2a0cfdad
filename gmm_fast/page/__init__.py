"""The report to pass on: one HTML page that tells all of a fit or a search.

`write_report` writes it in Python, `command.write` for the command line. The page is made from
plain data: `facts` collects it, `pictures` draws, `tables` says what is shown and how much of it,
`wording` how, `rendering` fills in `page.html`.
"""

from .rendering import check_report, render, write_page

__all__ = ["check_report", "render", "write_page", "write_report"]


def __getattr__(name):
    # on first use: commands need no scikit-learn
    if name != "write_report":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .writing import write_report

    return write_report
