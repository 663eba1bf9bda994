"""How the mail server is reached."""

import ipaddress
import ssl
from typing import Literal

from msgspec import Struct

Security = Literal["none", "starttls", "tls"]


class SmtpSettings(Struct, frozen=True, kw_only=True):
    """A submission server; without TLS it is on this machine's loopback."""

    host: str
    port: int
    security: Security = "starttls"
    username: str | None = None
    password: str | None = None
    helo_name: str = "localhost"
    ca_file: str | None = None  # a private authority; the system's otherwise
    at_once: int = 20
    connections: int = 4  # open at the same time, each for one call of `send`
    connect_timeout_s: float = 5.0
    command_timeout_s: float = 5.0
    content_timeout_s: float = 15.0  # from the first byte of the mail to the server's answer
    timeout_s: float = 25.0  # of one call of `send`; below a lease of 30 s

    def __post_init__(self) -> None:
        if self.security == "none" and not is_loopback(self.host):
            raise ValueError(f"mail to {self.host} is sent over TLS only: set starttls or tls")
        if (self.username is None) != (self.password is None):
            raise ValueError("a user name goes with a password")
        if not 1 <= self.connections <= self.at_once:
            raise ValueError("there is at least one connection, and none without a message of its own")
        if min(self.connect_timeout_s, self.command_timeout_s, self.content_timeout_s, self.timeout_s) <= 0:
            raise ValueError("a timeout is above zero")


def is_loopback(host: str) -> bool:
    """Whether the host is this machine: a loopback address or `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def tls_context(settings: SmtpSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer, with the server's name checked."""
    context = ssl.create_default_context(cafile=settings.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
