"""Where the product may connect: public addresses and what a setting admits, on ports that speak HTTPS.

Two doors, one rule. `check_url` judges a URL when it is stored and again before each call; `admits` judges the address
of each connect attempt, after DNS, so that a name that changes its mind, or a literal in disguise, gains nothing.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final

from msgspec import Struct
from yarl import URL

from kernel.errors import Fault, Invalid

Network = IPv4Network | IPv6Network

MAX_URL: Final = 2048
MAX_HOST: Final = 253
SYSTEM_PORTS: Final = 1024


class HttpSettings(Struct, frozen=True, kw_only=True):
    """Limits of outbound HTTP; the defaults are those of production."""

    allow_private: tuple[Network, ...] = ()  # networks that are not public and may be called all the same
    allow_http: bool = False  # plain http, for receivers on this machine
    total_timeout_s: float = 10.0  # where a call names none
    connect_timeout_s: float = 5.0  # TCP and TLS, for each address
    dns_timeout_s: float = 5.0
    dns_threads: int = 16
    keep_alive_s: float = 4.0  # under the 5 s after which many servers close: a POST seldom meets a closing connection
    body_head_bytes: int = 16 * 1024  # what is read of an answer; the rest is not fetched
    max_request_bytes: int = 1024 * 1024
    max_header_bytes: int = 8190  # of one header line of an answer
    max_headers: int = 64
    ca_file: Path | None = None  # a private certificate authority beside the public ones
    user_agent: str = "Relance/1"


class UrlRefused(Invalid):
    """The URL is not one that can be called from here."""

    code = "url_refused"
    remedy = "Give an https URL with a public host name, on port 443 or one from 1024 on, without credentials."


# IPv4: every block of IANA's special-purpose registry, also the few that it calls reachable, multicast and class E
_REFUSED_V4: Final = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; a metadata service at 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # the host of an Azure machine, at an address that looks public
        "169.254.0.0/16",  # link-local; metadata services at 169.254.169.254
        "172.16.0.0/12",
        "192.0.0.0/24",  # a metadata service at 192.0.0.192, which Python 3.11 takes for public
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# IPv6: only global unicast, so that NAT64, ULA, link-local, site-local, SRv6, multicast and whatever comes next is out;
# then what inside it is no host of the internet or carries another address within
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_REFUSED_V6: Final = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # IETF protocol assignments: Teredo, ORCHID, benchmarking, AMT
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries an IPv4 address
        "2620:4f:8000::/48",
        "3ffe::/16",
        "3fff::/20",
    )
)

_LOCALHOST: Final = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
_INTERNAL: Final = frozenset({
    "corp", "home", "home.arpa", "internal", "intranet", "lan", "local", "localdomain", "private",
})  # fmt: skip
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_UNSEEN: Final = re.compile(r"[\x00-\x20\x7f-\x9f\\\u2028\u2029\ud800-\udfff]")


def network(text: str) -> Network:
    """Read a network of `allow_private`, such as 127.0.0.0/8; raises ValueError."""
    return ip_network(text)


def admits(address: str, allow_private: tuple[Network, ...] = ()) -> bool:
    """Whether an address may be connected to; what cannot be read may not."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return _admits(parsed, allow_private)


def _admits(address: IPv4Address | IPv6Address, allow_private: tuple[Network, ...]) -> bool:
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        address = address.ipv4_mapped or address
    return _is_public(address) or any(address in block for block in allow_private)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if not address.is_global or address.is_multicast:  # what a newer Python knows beyond our lists
        return False
    if isinstance(address, IPv4Address):
        return not any(address in block for block in _REFUSED_V4)
    return address in _GLOBAL_V6 and not any(address in block for block in _REFUSED_V6)


def check_url(url: str, settings: HttpSettings, *, pointer: str = "/url") -> None:
    """Refuse a URL that must not be called; the fault names what is wrong at `pointer`."""
    fault = url_fault(url, settings, pointer=pointer)
    if fault is not None:
        raise UrlRefused(fault.message, errors=[fault])


def url_fault(url: str, settings: HttpSettings, *, pointer: str = "/url") -> Fault | None:
    """What is wrong with a URL, if anything; the parser is that of the client, so that both read one host."""
    if len(url) > MAX_URL:
        return Fault(pointer=pointer, code="url_too_long", message=f"The URL is longer than {MAX_URL} characters.")
    found = _what_is_wrong(url, settings)
    return None if found is None else Fault(pointer=pointer, code=found[0], message=found[1])


def _what_is_wrong(url: str, settings: HttpSettings) -> tuple[str, str] | None:  # noqa: PLR0911 - one line a fault
    try:
        parsed = URL("" if _UNSEEN.search(url) else url)
        host, port = parsed.raw_host, parsed.port
    except ValueError:  # also a label that IDNA cannot write
        host, port, parsed = None, None, URL()
    if parsed.scheme not in {"https", "http"} or (parsed.scheme == "http" and not settings.allow_http):
        if host or parsed.scheme:
            return "url_scheme", "The URL must begin with https://."
        return "url_malformed", "The URL cannot be read."
    if not host:
        return "url_malformed", "The URL names no host."
    if parsed.raw_user is not None or parsed.raw_password is not None:
        return "url_credentials", "The URL must not carry a user or a password."
    if "#" in url:
        return "url_fragment", "The URL must not have a fragment: it would never be sent."
    if port is None or (port < SYSTEM_PORTS and port != (80 if parsed.scheme == "http" else 443)):
        return "url_port", "The port must be that of the scheme, or 1024 and above."
    if "[" in url.partition("//")[2].partition("/")[0] and ":" not in host:  # IPvFuture, which nobody speaks
        return "url_malformed", "The URL cannot be read."
    return _what_is_wrong_with_host(host, settings)


def _what_is_wrong_with_host(host: str, settings: HttpSettings) -> tuple[str, str] | None:
    refused = "url_address", "The host is an address that is not public."
    name = host.lower().removesuffix(".")
    try:
        return None if _admits(ip_address(name), settings.allow_private) else refused
    except ValueError:
        labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # 2130706433, 0x7f.1, 0177.0.0.1: some readers take these for addresses
        return "url_address", "An address must be written as four decimal numbers."
    if len(name) > MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        return "url_host", "The host is not a host name."
    if labels[-1] == "localhost":
        return None if any(_admits(address, settings.allow_private) for address in _LOCALHOST) else refused
    inside = len(labels) == 1 or labels[-1] in _INTERNAL or ".".join(labels[-2:]) in _INTERNAL
    if inside and not settings.allow_private:
        return "url_host", "The host is a name of a private network."
    return None
