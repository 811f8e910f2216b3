"""What can go wrong with a call. The names are those of the C library's enum sf_client_error."""
from __future__ import annotations


class SnowfleetError(Exception):
    """Every failed call raises one of these. `detail` is for people; `server` answered last; `retry_after_ms` is what the worker asked for."""

    code = "INTERNAL"

    def __init__(self, detail: str, server: str = "", retry_after_ms: int = 0, attempts: int = 0):
        super().__init__(f"{self.code}: {detail}")
        self.detail, self.server, self.retry_after_ms, self.attempts = detail, server, retry_after_ms, attempts


class InvalidError(SnowfleetError, ValueError):
    """An argument or option is not allowed; the detail says which."""

    code = "INVALID"


class UnreachableError(SnowfleetError):
    """No worker could be connected to by the deadline."""

    code = "UNREACHABLE"


class DeadlineError(SnowfleetError, TimeoutError):
    """Connected and asked, but nothing answered by the deadline."""

    code = "TIMEOUT"


class NotReadyError(SnowfleetError):
    """Every worker said that it holds no slot or reservation."""

    code = "NOT_READY"


class ClockError(SnowfleetError):
    """Every worker said that its clock is not safe."""

    code = "CLOCK"


class OverloadedError(SnowfleetError):
    """Queues full until the deadline."""

    code = "OVERLOADED"


class RateLimitedError(SnowfleetError):
    """Over quota, and the wait is longer than the call may last."""

    code = "RATE_LIMITED"


class DrainingError(SnowfleetError):
    """Every worker is shutting down."""

    code = "DRAINING"


class DeniedError(SnowfleetError):
    """The token is missing or was refused."""

    code = "DENIED"


class CausalityError(SnowfleetError):
    """`after` lies further ahead than the call may wait."""

    code = "CAUSALITY"


class InternalError(SnowfleetError):
    """A worker reported a defect, or a status unknown to this library."""

    code = "INTERNAL"


class RefusedError(SnowfleetError):
    """The worker does not accept the request."""

    code = "REFUSED"


class ProtocolError(SnowfleetError):
    """What answered does not speak the Snowfleet protocol."""

    code = "PROTOCOL"


class OrderError(SnowfleetError):
    """A worker gave an ID that repeats or goes back: page somebody, use none of these IDs."""

    code = "ORDER"


class NameError_(SnowfleetError):
    """A server name has no address."""

    code = "NAME"


class TLSError(SnowfleetError):
    """Certificate, key or handshake."""

    code = "TLS"


class WrongFleetError(SnowfleetError):
    """A worker belongs to another fleet than the ones before it."""

    code = "WRONG_FLEET"


class CancelledError(SnowfleetError):
    """The client was closed; or the process forked while the call was under way, and this is the child."""

    code = "CANCELLED"


BY_CODE: dict[str, type[SnowfleetError]] = {
    each.code: each for each in (InvalidError, UnreachableError, DeadlineError, NotReadyError, ClockError, OverloadedError, RateLimitedError,
                                 DrainingError, DeniedError, CausalityError, InternalError, RefusedError, ProtocolError, OrderError, NameError_,
                                 TLSError, WrongFleetError, CancelledError)}
