"""Unique, time-ordered 64-bit IDs from a Snowfleet fleet, as if it were one service that does not fail.

    with Client("ids-0:7450,ids-1:7450") as client:
        identifier = client.next()

`Client` is for threads, `AsyncClient` for asyncio. IDs are ints; `to_base32` and `from_base32` are their short text.
"""
from .aio import AsyncClient
from .client import Client
from .errors import (CancelledError, CausalityError, ClockError, DeadlineError, DeniedError, DrainingError, InternalError, InvalidError,
                     NameError_, NotReadyError, OrderError, OverloadedError, ProtocolError, RateLimitedError, RefusedError, SnowfleetError,
                     TLSError, UnreachableError, WrongFleetError)
from .ids import MAX_ID, Layout, Parts, from_base32, to_base32
from .options import Options

__version__ = "0.1.0"
__all__ = ["AsyncClient", "CancelledError", "CausalityError", "Client", "ClockError", "DeadlineError", "DeniedError", "DrainingError",
           "InternalError", "InvalidError", "Layout", "MAX_ID", "NameError_", "NotReadyError", "Options", "OrderError", "OverloadedError", "Parts",
           "ProtocolError", "RateLimitedError", "RefusedError", "SnowfleetError", "TLSError", "UnreachableError", "WrongFleetError",
           "from_base32", "to_base32"]
