"""Notice when a file changes after it was opened."""

import os
import platform

from ..errors import ChangedError


class Stamp:
    """Size, modification time and inode of a file; compared once a pass, they reveal a change.

    Parameters
    ----------
    name : str
        For messages.
    status : os.stat_result
        From when the file was opened.
    """

    def __init__(self, name, status):
        self.name = name
        self._host = platform.node()
        self._take(status)

    def _take(self, status):
        self._size, self._time, self._inode = status.st_size, status.st_mtime_ns, status.st_ino

    def check(self, status):
        """Raise `ChangedError` if the file has changed.

        A pickled stamp may come to another machine, where the path may hold a copy: it must have
        the same size, and must not change from the first check on.
        """
        if status.st_size != self._size:
            raise self._error(f"it has {status.st_size:,} bytes and had {self._size:,}")
        if self._host != platform.node():
            self._host = platform.node()
            self._take(status)
        if status.st_ino != self._inode:
            raise self._error("another file took its place")
        if status.st_mtime_ns != self._time:
            raise self._error("it was written to, though its size is the same")

    def check_path(self, path):
        """As `check`, for whatever is at the path now."""
        try:
            status = os.stat(path)
        except OSError:
            raise ChangedError(
                f"{self.name}: no such file any longer; do not move it during the work"
            ) from None
        self.check(status)

    def _error(self, how):
        return ChangedError(
            f"{self.name}: the file changed while it was used: {how}; do not write to it meanwhile"
        )
