"""Files that have to stay what they were when they were opened."""

import os
import platform

from ..errors import ChangedError


class Stamp:
    """Size, time of change and inode of a file: looked at once a pass, they tell of another one.

    Parameters
    ----------
    name : str
        For messages.
    status : os.stat_result
        As of when the file was opened.
    """

    def __init__(self, name, status):
        self.name = name
        self._host = platform.node()
        self._take(status)

    def _take(self, status):
        self._size, self._time, self._inode = status.st_size, status.st_mtime_ns, status.st_ino

    def check(self, status):
        """Raise `ChangedError` unless the file still is what it was.

        On another machine, where a pickled stamp comes to, a copy may lie at the path: of the
        same size, and from the first look on the same for good.
        """
        if status.st_size != self._size:
            raise self._error(f"it has {status.st_size:,} bytes and had {self._size:,}")
        if self._host != platform.node():
            self._host = platform.node()
            self._take(status)
        if status.st_ino != self._inode:
            raise self._error("another file took its place")
        if status.st_mtime_ns != self._time:
            raise self._error("it was written to, and is as long as before")

    def check_path(self, path):
        """As `check`, of what lies at a path now."""
        try:
            status = os.stat(path)
        except OSError:
            raise ChangedError(
                f"{self.name}: no such file any more; leave it where it is during the work"
            ) from None
        self.check(status)

    def _error(self, how):
        return ChangedError(
            f"{self.name}: the file changed while it was used: {how}; do not write to it meanwhile"
        )
