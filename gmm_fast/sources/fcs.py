"""FCS files of flow cytometers, 2.0 to 3.1: flowio parses the keywords, events are streamed.

A file has a HEADER that locates the other segments, TEXT with keywords, and DATA with the events.
"""

import copy
import os
import re
from dataclasses import dataclass
from functools import lru_cache

import flowio
import numpy as np

from ..errors import DataError
from .base import NoRowsError
from .columns import choose, quote_list
from .npy import changed_error, open_regular
from .stream import StreamSource, block_rows, read_error

_HEADER_BYTES = 58
_TIME = re.compile(r"time|hdr-t", re.IGNORECASE)
_SIZES = {"I": (8, 16, 24, 32, 64), "F": (32,), "D": (64,)}


@dataclass
class Channel:
    """How one number of every event is stored, and what it means."""

    name: str  # $PnN
    label: str  # name of the column
    dtype: np.dtype
    parts: np.ndarray | None  # value of each byte, for integers of three bytes
    mask: int | None  # the bits that count
    decades: float  # of a logarithmic amplifier
    least: float  # what it makes 0
    span: float  # $PnR
    factor: float

    @property
    def scaled(self):
        return self.decades > 0 or self.factor != 1

    @property
    def plain(self):
        """Whether stored numbers are the measured values."""
        return not self.scaled and self.mask is None and self.parts is None

    def numbers(self, stored):
        """The measured values of stored numbers."""
        if self.parts is not None:
            stored = stored @ self.parts
        if self.mask is not None:
            stored = stored & stored.dtype.type(self.mask)
        if not self.scaled:
            return stored
        if self.decades > 0:
            return self._linear(stored) * self.factor
        return stored * np.float64(self.factor)

    def _linear(self, stored):
        how = self.decades, self.span, self.least
        if stored.dtype.itemsize > 2:
            return _power(stored, *how)
        return _powers(stored.dtype.itemsize, *how)[stored]


def _power(stored, decades, span, least):
    with np.errstate(over="ignore"):
        return 10 ** (decades * stored.astype(np.float64) / span) * least


@lru_cache(maxsize=32)
def _powers(n_bytes, *how):
    """`_power` of every stored value: a look-up takes a tenth of the time."""
    return _power(np.arange(1 << 8 * n_bytes), *how)


class FcsSource(StreamSource):
    """One data set of an FCS file; events are read when they are needed.

    Parameters
    ----------
    path : str
    inner : str, optional
        Number of the data set, counted from 1; by default the first.
    columns : list of str or int, optional
        Channels by marker, name or number; by default all but the time channel.

    Raises
    ------
    DataError
        If there is no such file, or it is damaged; the message names the segment.
    """

    def __init__(self, path, inner=None, *, columns=None):
        super().__init__(path, "FCS")
        number = _number(path, inner)
        with open_regular(self.path, self.name, "FCS") as file:
            self._size = os.fstat(file.fileno()).st_size
            sets = _data_sets(file, self._size, path, number)
            offset, found = sets[number - 1]
        self._channels = _channels(found, path)
        self._chosen = self._choose(columns)
        chosen = [self._channels[i] for i in self._chosen]
        self.feature_names = [channel.label for channel in chosen]
        self.n_samples, self.n_features = found.event_count, len(chosen)
        if self.n_samples < 1:
            raise NoRowsError(f"{path}: has no events; at least one is needed")
        self._row = np.dtype([(f"{i}", channel.dtype) for i, channel in enumerate(self._channels)])
        self._begin = offset + self._data_offset(found, offset)
        none = np.zeros(1, self._row)
        self.dtype = np.result_type(*(c.dtype for c in self._columns_of(none)))
        self.dtype = self.dtype.newbyteorder("=")
        self.notes = (*self._set_notes(len(sets), inner), *self._channel_notes(columns))

    def _choose(self, columns):
        labels = [channel.label for channel in self._channels]
        if columns is None:
            times = [_TIME.fullmatch(c.name) or _TIME.fullmatch(c.label) for c in self._channels]
            chosen = [i for i, time in enumerate(times) if not time]
            if not chosen:
                raise DataError(
                    f"{self.name}: has only the time channel; choose it with --columns (columns=)"
                )
            return chosen
        names = [channel.name for channel in self._channels]
        wanted = [columns] if isinstance(columns, (str, int, np.integer)) else list(columns)
        known = {n: i for i, n in enumerate(names) if names.count(n) == 1 and n not in labels}
        return choose([known.get(w, w) for w in wanted], labels, len(labels), self.name)

    def _data_offset(self, found, offset):
        """Where DATA begins after `offset`, by TEXT or HEADER, whichever fits."""
        needed = self.n_samples * self._row.itemsize
        header = found.header["data_start"], found.header["data_stop"]
        text = found.text.get("begindata"), found.text.get("enddata")
        places = [header] if found.version == "2.0" or None in text else [text, header]
        places = [(int(begin), int(end)) for begin, end in places]
        # an end that is one byte too far is common
        fitting = [begin for begin, end in places if 0 <= end - begin + 1 - needed <= 1]
        if not fitting:
            begin, end = places[0]
            raise DataError(
                f"{self.name}: the DATA segment has {end - begin + 1:,} bytes, but "
                f"{self.n_samples:,} events of {len(self._channels)} channels take {needed:,}; "
                "write or copy the file again"
            )
        if fitting[0] < _HEADER_BYTES or offset + fitting[0] + needed > self._size:
            raise DataError(
                f"{self.name}: the file ends within its DATA segment: it has {self._size:,} bytes, "
                f"{offset + fitting[0] + needed:,} are needed; copy it again"
            )
        return fitting[0]

    def _set_notes(self, n_sets, inner):
        if n_sets == 1 or inner is not None:
            return
        yield (
            f"the file holds {n_sets} data sets; only the first is read, "
            f"{self.name}:2 names the second"
        )

    def _channel_notes(self, columns):
        channels = [self._channels[i] for i in self._chosen]
        if columns is None and len(channels) < len(self._channels):
            left = quote_list(
                c.label for i, c in enumerate(self._channels) if i not in self._chosen
            )
            yield f"the time channel, {left}, is left out; --columns (columns=) brings it back"
        renamed = [f"{c.label!r} is {c.name!r}" for c in channels if c.label != c.name]
        if renamed:
            yield f"columns are named by their markers ($PnS): {', '.join(renamed)}"
        logs = [c.label for c in channels if c.decades > 0]
        if logs:
            yield f"channels of logarithmic amplifiers are made linear ($PnE): {quote_list(logs)}"
        gained = [c.label for c in channels if c.factor != 1]
        if gained:
            yield f"channels are divided by their gain ($PnG): {quote_list(gained)}"

    def columns_of(self, names):
        """Blocks of any channels, including time, as lists of arrays."""
        other = copy.copy(self)
        other._chosen = self._choose(names)
        return ([_native(c) for c in other._columns_of(b)] for _, b in other._stored(0))

    def _blocks(self, row):
        return ((first, self._numbers(stored)) for first, stored in self._stored(row))

    def _stored(self, row):
        """Yield (number of the first event, block of events as stored)."""
        step = block_rows(1, self._row.itemsize)
        try:
            with open_regular(self.path, self.name, "FCS") as file:
                if os.fstat(file.fileno()).st_size != self._size:
                    raise changed_error(self.name)
                file.seek(self._begin + row * self._row.itemsize)
                for first in range(row, self.n_samples, step):
                    stored = np.empty(min(step, self.n_samples - first), self._row)
                    if file.readinto(stored.view(np.uint8)) < stored.nbytes:
                        return  # StreamSource reports the missing rows
                    yield first, stored
        except OSError as error:
            raise read_error(self.name, error) from error

    def _numbers(self, stored):
        """A block of events as a 2-D array, or as a list of columns if their dtypes differ."""
        kinds = {channel.dtype for channel in self._channels}
        plain = all(self._channels[i].plain for i in self._chosen)
        if len(kinds) > 1 or not plain:
            return self._columns_of(stored)
        block = stored.view(kinds.pop()).reshape(len(stored), -1)
        first, last = self._chosen[0], self._chosen[-1]
        if self._chosen == list(range(first, last + 1)):
            return block[:, first : last + 1]
        return np.take(block, self._chosen, axis=1)

    def _columns_of(self, stored):
        return [self._channels[i].numbers(stored[f"{i}"]) for i in self._chosen]


def _native(column):
    return column.astype(column.dtype.newbyteorder("="), copy=False)


class _Bounded:
    """An open file for flowio: it cannot read past the end, and cannot close the file."""

    def __init__(self, file, size):
        self._file, self._size = file, size
        self.name = "file"
        self.seek, self.tell = file.seek, file.tell

    def read(self, n):
        found = self._file.read(max(0, min(n, self._size - self._file.tell())))
        # HEADER leaves an offset blank if it needs more than eight digits
        return b"0" if found == b" " * 8 else found

    def close(self):
        pass


def _number(path, inner):
    if inner is None:
        return 1
    if not (inner.isascii() and inner.isdigit() and int(inner)):
        raise DataError(f"{path}: has no data set {inner!r}; count them from 1: {path}:1")
    return int(inner)


def _data_sets(file, size, path, number):
    """Pairs (offset, what flowio parses there) of at least `number` data sets."""
    sets, offset = [], 0
    while True:
        try:
            found = _parse(file, offset, size, path)
            following = int(found.text.get("nextdata", "0").strip() or 0)
        except (DataError, ValueError) as error:
            if len(sets) >= number:  # the wanted one is there
                return sets
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{path}: the TEXT segment does not say where the next data set is; export the "
                "file again"
            ) from error
        sets.append((offset, found))
        if following <= 0:
            break
        offset += following
    if len(sets) < number:
        raise DataError(f"{path}: has no data set {number}; it has {len(sets)}, counted from 1")
    return sets


def _parse(file, offset, size, path):
    """HEADER and TEXT as flowio parses them."""
    file.seek(offset)
    head = file.read(_HEADER_BYTES)
    if not head:
        raise DataError(f"{path}: the file is empty; export the FCS file again")
    if not re.match(rb"FCS\d\.\d", head) or len(head) < _HEADER_BYTES:
        raise DataError(
            f"{path}: is not an FCS file, or its HEADER segment is damaged; export it again"
        )
    try:
        found = flowio.FlowData(
            _Bounded(file, size),
            only_text=True,
            ignore_offset_discrepancy=True,
            nextdata_offset=offset,
        )
        int(found.channel_count), int(found.event_count)
        return found
    except MemoryError:
        raise
    except Exception as error:  # flowio trusts the file, so damage fails in many ways
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        what = (
            "the file ends within its DATA segment"
            if "greater than file" in reason
            else ("the HEADER or TEXT segment is damaged, or lacks a keyword")
        )
        raise DataError(f"{path}: {what} ({reason}); copy or export the file again") from error


def _channels(found, path):
    """The channels of a data set, in order."""
    text = found.text
    kind, mode = found.data_type.strip().upper(), text.get("mode", "L").strip().upper()
    if mode != "L":
        raise DataError(
            f"{path}: the DATA segment holds histograms ($MODE {mode}), not events; export events "
            "(list mode)"
        )
    if kind not in _SIZES:
        raise DataError(
            f"{path}: the DATA segment is of type {kind!r} ($DATATYPE); export it as floats or "
            "integers"
        )
    if not 0 < found.channel_count == len(found.pnn_labels):
        raise DataError(
            f"{path}: the TEXT segment announces {found.channel_count} channels ($PAR), but names "
            f"{len(found.pnn_labels)} ($PnN); export the file again"
        )
    order = _byte_order(text.get("byteord", ""), path)
    labels = _labels(found.pnn_labels, found.pns_labels)
    try:
        return [
            _channel(found, number, label, kind, order, path)
            for number, label in enumerate(labels, 1)
        ]
    except DataError:
        raise
    except (KeyError, ValueError, OverflowError) as error:
        raise DataError(
            f"{path}: a keyword of a channel is missing or wrong in the TEXT segment "
            f"({type(error).__name__}: {error}); export the file again"
        ) from error


def _byte_order(text, path):
    try:
        places = [int(place) for place in text.split(",")]
    except ValueError:
        places = []
    for sign, order in (("<", sorted(places)), (">", sorted(places, reverse=True))):
        if places and places == order == list(dict.fromkeys(order)):
            return sign
    raise DataError(
        f"{path}: the byte order in the TEXT segment is not supported, $BYTEORD {text!r}; export "
        "the file with 1,2,3,4 or 4,3,2,1"
    )


def _labels(names, markers):
    """Names of the columns: the marker where it is unique, else the channel's name."""
    words = [marker.strip() or name.strip() for name, marker in zip(names, markers, strict=True)]
    every = [*words, *(n.strip() for n, w in zip(names, words, strict=True) if n.strip() != w)]
    return [w if every.count(w) == 1 else n.strip() for n, w in zip(names, words, strict=True)]


def _channel(found, number, label, kind, order, path):
    about, text = found.channels[number], found.text
    bits, span = int(text[f"p{number}b"]), about["pnr"]
    if bits not in _SIZES[kind]:
        raise DataError(
            f"{path}: channel {label!r} has {bits} bits ($P{number}B) of type {kind} ($DATATYPE), "
            "which is not supported; export the file as floats"
        )
    letter = "u" if kind == "I" else "f"
    mask, (decades, least) = None, about["pne"]
    gain = 1.0 if decades > 0 else about["png"]  # only linear amplifiers have one
    if kind != "I":
        decades = 0.0  # by the standard floats are linear, whatever the file says
    else:
        limit = 1 << max(0, int(np.ceil(span)) - 1).bit_length()  # the power of two above
        mask = limit - 1 if 1 < limit < 1 << bits else None
    name = about["pnn"].strip()
    factor = 1 / gain if gain > 0 and np.isfinite(gain) else 1.0
    if _TIME.fullmatch(name) and text.get("timestep", "").strip():
        factor = float(text["timestep"])
    if decades > 0 and not (span > 0 and np.isfinite([span, decades, least]).all()):
        raise ValueError(f"$P{number}E, $P{number}R")
    dtype, parts = np.dtype("u1"), None
    if bits == 24:
        dtype = np.dtype(("u1", 3))
        parts = np.array([1, 1 << 8, 1 << 16][:: 1 if order == "<" else -1], np.uint32)
    elif bits > 8:
        dtype = np.dtype(f"{order}{letter}{bits // 8}")
    return Channel(name, label, dtype, parts, mask, decades, least, span, factor)
