"""Write the report on a fit or a search: one HTML page to pass on.

`write_report` writes it from Python, `command.write` for the command line. The page is made from
plain data: `facts` collects it, `pictures` draws it, `tables` and `wording` turn it into tables and
sentences, `rendering` fills in `page.html`.
"""

from .rendering import check_report, render, write_page

__all__ = ["check_report", "render", "write_page", "write_report"]


def __getattr__(name):
    # on first use: the command line needs no scikit-learn
    if name != "write_report":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .writing import write_report

    return write_report
