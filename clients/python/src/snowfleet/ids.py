"""IDs as the programs of a fleet need them: their parts, and their form in Crockford's base 32."""
from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

MAX_ID = (1 << 63) - 1

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_VALUES.update({"O": 0, "I": 1, "L": 1})
_VALUES.update({digit.lower(): value for digit, value in list(_VALUES.items())})


def to_base32(identifier: int) -> str:
    """Always 13 digits, which sort as the IDs do."""
    if not 0 <= identifier <= MAX_ID:
        raise ValueError(f"{identifier} is not an ID; 0 to {MAX_ID} are")
    return "".join(_DIGITS[identifier >> shift & 31] for shift in range(60, -1, -5))


def from_base32(text: str) -> int:
    """Reads what to_base32 writes, in either case; I, L and O are read as 1, 1 and 0. ValueError for another text."""
    identifier = 0
    try:
        for digit in text:
            identifier = identifier << 5 | _VALUES[digit]
    except KeyError:
        identifier = -1
    if len(text) != 13 or not 0 <= identifier <= MAX_ID:
        raise ValueError(f"{text!r} is not an ID in base 32; 0000000000000 to 7ZZZZZZZZZZZZ are")
    return identifier


@dataclass(frozen=True, slots=True)
class Parts:
    """The fields of an ID."""

    unix_ms: int
    datacenter: int
    worker: int
    sequence: int

    @property
    def time(self) -> datetime:
        """When it was minted, in UTC."""
        return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=self.unix_ms)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which bits of an ID mean what, and when its timestamps begin. It belongs to a fleet and never changes."""

    timestamp: int = 41
    datacenter: int = 5
    worker: int = 5
    sequence: int = 12
    epoch_ms: int = 1704067200000

    def __post_init__(self) -> None:
        widths = (self.timestamp, self.datacenter, self.worker, self.sequence)
        if self.timestamp < 1 or min(widths) < 0 or sum(widths) != 63:
            raise ValueError(f"{widths} is no layout: the widths must add up to 63, and the timestamp have 1 at least")

    def decode(self, identifier: int) -> Parts:
        """Takes an ID apart. ValueError for a number that is none."""
        if not 0 <= identifier <= MAX_ID:
            raise ValueError(f"{identifier} is not an ID; 0 to {MAX_ID} are")
        rest = identifier >> self.sequence
        sequence = identifier & (1 << self.sequence) - 1
        worker, rest = rest & (1 << self.worker) - 1, rest >> self.worker
        datacenter, rest = rest & (1 << self.datacenter) - 1, rest >> self.datacenter
        return Parts(self.epoch_ms + rest, datacenter, worker, sequence)

    def encode(self, unix_ms: int, datacenter: int = 0, worker: int = 0, sequence: int = 0) -> int:
        """The ID of these parts; of a time alone the smallest of that millisecond: a bound for queries by time."""
        timestamp = unix_ms - self.epoch_ms
        for value, width in ((timestamp, self.timestamp), (datacenter, self.datacenter), (worker, self.worker), (sequence, self.sequence)):
            if not 0 <= value < 1 << width:
                raise ValueError(f"{value} does not fit {width} bits of {self}")
        return ((timestamp << self.datacenter | datacenter) << self.worker | worker) << self.sequence | sequence

    def same_slot(self, a: int, b: int) -> bool:
        """Were they minted by the same slot?"""
        return ((a ^ b) >> self.sequence) & (1 << self.datacenter + self.worker) - 1 == 0
