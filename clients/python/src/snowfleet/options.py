"""The options of a client, by the names, defaults and bounds of the C library (include/snowfleet/client.h)."""
from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass, fields

from .errors import InvalidError, TLSError

COUNT_MAX = 1048576
UNIX = "unix:"  # before the path of a UNIX socket, or "@" and an abstract name
UNIX_MAX = 107
NAMES_MAX = 64
DISCOVER_MAX = 128
SERVERS_MAX = 256

# standard (in place of 0), least, most
_NUMBERS: dict[str, tuple[int, int, int]] = {
    "timeout_ms": (2000, 1, 3600000), "attempt_timeout_ms": (100, 1, 3600000), "connect_timeout_ms": (1000, 1, 3600000),
    "hedge_ms": (0, 0, 3600000), "hedge_percentile": (0, 50, 99), "resolve_ms": (30000, 1000, 86400000), "discover_ms": (30000, 1000, 86400000),
    "retry_budget_percent": (20, 1, 1000), "retry_budget_max": (100, 1, 1000000), "backoff_min_ms": (2, 1, 60000),
    "backoff_max_ms": (100, 1, 60000), "breaker_failures": (3, 1, 1000000), "breaker_open_min_ms": (100, 1, 600000),
    "breaker_open_max_ms": (1000, 1, 600000), "breaker_idle_ms": (75, 1, 60000), "prefetch": (0, 0, 65536),
    "prefetch_max_age_ms": (100, 1, 600000)}


@dataclass(kw_only=True)
class Options:
    """0 in a time or count that has a default means the default."""

    servers: str = "127.0.0.1:7450"  # "host:port,host:port": addresses, or names, every address of which is a server; or "unix:/path"
    timeout_ms: int = 0  # deadline of a call: 2000
    attempt_timeout_ms: int = 0  # after this another worker is asked beside a silent one: 100
    connect_timeout_ms: int = 0  # 1000
    hedge_ms: int = 0  # a second worker is asked beside the first after this; 0: never
    hedge_percentile: int = 0  # ... or when that part of the latest answers would have come: 50 to 99
    resolve_ms: int = 0  # names are looked up again: 30000
    discover: bool = False  # use the workers that the workers tell of, too
    discover_ms: int = 0  # 30000
    retry_budget_percent: int = 0  # each call brings that part of a retry: 20
    retry_budget_max: int = 0  # 100
    backoff_min_ms: int = 0  # 2
    backoff_max_ms: int = 0  # 100
    breaker_failures: int = 0  # lost connections in a row that open a server's breaker: 3
    breaker_open_min_ms: int = 0  # first wait before a probe: 100
    breaker_open_max_ms: int = 0  # 1000
    breaker_idle_ms: int = 0  # between tries of one server while none works: 75
    prefetch: int = 0  # IDs fetched ahead by one request; not together with causal
    prefetch_max_age_ms: int = 0  # no older one is handed out: 100
    causal: bool = False  # every ID is greater than all that were handed out before
    tls: bool = False  # TLS 1.2 or later
    tls_ca: str | None = None  # file of trusted certificates; None: the system's
    tls_cert: str | None = None  # own certificate chain and key, for mutual TLS
    tls_key: str | None = None
    tls_server_name: str | None = None  # what the certificate must bear; None: the host of `servers`
    token: str | None = None  # sent with AUTH on every connection

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            kind = str(field.type)
            if (kind == "int" and type(value) is not int) or (kind == "bool" and type(value) is not bool) or (
                    kind.startswith("str") and not isinstance(value, str) and not (value is None and "None" in kind)):
                raise InvalidError(f"{field.name}: {value!r} is of the wrong kind; wanted is {kind}")
        for name, (standard, least, most) in _NUMBERS.items():
            value = getattr(self, name) or standard
            if value != standard and not least <= value <= most:
                raise InvalidError(f"{name}: {value} is out of range; allowed are {least} to {most}")
            setattr(self, name, value)
        if self.backoff_min_ms > self.backoff_max_ms:
            raise InvalidError("backoff_min_ms: must not be above backoff_max_ms")
        if self.breaker_open_min_ms > self.breaker_open_max_ms:
            raise InvalidError("breaker_open_min_ms: must not be above breaker_open_max_ms")
        if self.causal and self.prefetch:
            raise InvalidError("prefetch: gives up the order that causal promises; use one")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InvalidError("tls_cert, tls_key: give both or none")
        if not self.tls and (self.tls_ca or self.tls_cert or self.tls_server_name):
            raise InvalidError("tls: must be true for the other tls options to have a use")
        if self.token is not None and not 1 <= len(self.token.encode()) <= 256:
            raise InvalidError("token: must have 1 to 256 bytes")

    def tls_context(self) -> ssl.SSLContext | None:
        """None without TLS."""
        if not self.tls:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if self.tls_ca is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(self.tls_ca)
        except (OSError, ssl.SSLError) as error:
            raise TLSError(f"tls_ca: cannot use {self.tls_ca}: {error}") from error
        if self.tls_cert is not None:
            try:  # a key with a pass phrase is refused: nobody is there to be asked
                context.load_cert_chain(self.tls_cert, self.tls_key, password=lambda: "")
            except (OSError, ssl.SSLError) as error:
                raise TLSError(f"tls_cert {self.tls_cert}, tls_key {self.tls_key}: {error}") from error
        return context


def is_numeric(host: str) -> bool:
    """Is it an address, and no name?"""
    if host.startswith(UNIX):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def parse_host_port(text: str, default_port: int | None) -> tuple[str, int] | None:
    """("host", port), or None."""
    host, port = text, "" if default_port is None else str(default_port)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return None
        port = rest[1:] if rest else port
    elif text.count(":") == 1:
        host, port = text.split(":")
    if not host or len(host) > 253 or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535 or set(host) & set("[]/"):
        return None
    return host, int(port)


def parse_unix(text: str) -> tuple[str, int] | None:
    """("unix:/path", 0) of an absolute path below a directory, or of "unix:@name"; None: it is neither."""
    path = text[len(UNIX):]
    good = path[:1] == "@" and len(path) > 1 or path[:1] == "/" and path.rfind("/") > 0 and path[-1] != "/"
    return (text, 0) if good and len(path) <= UNIX_MAX and all("!" <= each <= "~" for each in path) else None


def parse_servers(text: str) -> list[tuple[str, int]]:
    """The entries of Options.servers."""
    found: list[tuple[str, int]] = []
    for entry in text.replace(",", " ").split():
        at = parse_unix(entry) if entry.startswith(UNIX) else parse_host_port(entry, 7450)
        if at is None:
            raise InvalidError(f"servers: {entry!r} is not a server; allowed are HOST, HOST:PORT, ADDRESS:PORT, [IPV6]:PORT, "
                               f"unix:/PATH and unix:@NAME")
        found.append(at)
    if not found:
        raise InvalidError("servers: none given; example: ids-0:7450,ids-1:7450")
    if len(found) > NAMES_MAX:
        raise InvalidError(f"servers: more than {NAMES_MAX} entries")
    return found
