"""What sources over another source have in common."""

from .base import Source

_TAKEN_OVER = (
    "name",
    "n_samples",
    "n_features",
    "dtype",
    "feature_names",
    "transforms",
    "dropped",
    "given",
    "remarks",
    "concurrent",
    "held_bytes",
    "reading_bytes",
    "reading_advice",
    "boundaries",
)


class WrappedSource(Source):
    """A source over another one: like it, except for what a subclass changes.

    Parameters
    ----------
    source : Source
    """

    def __init__(self, source):
        self.source = source
        for name in _TAKEN_OVER:
            setattr(self, name, getattr(source, name))

    @property
    def notes(self):
        return self.source.notes

    @property
    def decoded(self):
        return self.source.decoded

    def check_unchanged(self, start=0, stop=None):
        self.source.check_unchanged(start, stop)

    def locate(self, row):
        return self.source.locate(row)

    def rest(self):
        self.source.rest()

    def close(self):
        self.source.close()
