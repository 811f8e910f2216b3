"""Which process is this? A page of memory that the kernel empties in every child (MADV_WIPEONFORK) says it, so that a fork by C code, which runs no
hook of Python's, is noticed too."""
from __future__ import annotations

import mmap
import os

from .errors import CancelledError

WIPEONFORK = 18  # of <linux/mman.h>; Python has no name for it
_NONSENSE = -1  # an emulator that takes any advice does not follow it


class Pid:
    """Where the kernel cannot empty pages in children (before Linux 4.14): the number of the process, a system call for each look."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    def __getitem__(self, at: int) -> int:
        return int(os.getpid() == self._pid)


Mine = mmap.mmap | Pid


def mark() -> Mine:
    """Something whose [0] is 1 in this process, and 0 in all its children for good."""
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        try:
            page.madvise(_NONSENSE)
            return Pid()
        except OSError:
            page.madvise(WIPEONFORK)
    except OSError:
        return Pid()
    page[0] = 1
    return page


def cancelled(asyncio: bool = False) -> CancelledError:
    """What a call gets in a child."""
    return CancelledError("the process forked, and this is the child: " +
                          ("it makes an AsyncClient of its own" if asyncio else "the call that was under way is the parent's"))
