"""Permissions that bind root as well: a read-only folder is none to a process that may override them."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

VERSION_3 = 0x20080522
OVERRIDES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


class Capabilities(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


@contextmanager
def as_anybody() -> Iterator[None]:
    """A context in which this thread has no more leave than the owner of a file has; children regain root's."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, held = (ctypes.c_uint32 * 2)(VERSION_3, 0), (Capabilities * 2)()
    assert libc.capget(header, held) == 0, os.strerror(ctypes.get_errno())
    before = held[0].effective
    held[0].effective = before & ~OVERRIDES
    assert libc.capset(header, held) == 0, os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        held[0].effective = before
        assert libc.capset(header, held) == 0, os.strerror(ctypes.get_errno())
