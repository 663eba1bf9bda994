"""Settings: one frozen struct per concern, built once from the environment and passed down. Defaults start everything.

Every variable is listed in `VARIABLES`, from which `docs/operations.md` is made.
"""

import ipaddress
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from kernel.errors import AppError
from messaging.channels.email.settings import SmtpSettings
from messaging.writing import SenderIdentity
from runtime.egress import HttpSettings
from runtime.logs import LogSettings


class SettingInvalid(AppError):
    """A setting cannot be used."""

    code = "setting_invalid"
    remedy = "Correct the environment variable; docs/operations.md lists them all."


class Variable(Struct, frozen=True):
    """One environment variable: its default as shown, and what it means."""

    name: str
    default: str
    meaning: str


VARIABLES: Final = (
    Variable("RELANCE_DATA_DIR", "~/.relance", "Where the embedded servers and the local key live"),
    Variable("RELANCE_DATABASE_URL", "", "PostgreSQL as relance_app; without it an embedded server runs"),
    Variable("RELANCE_DISPATCHER_URL", "", "PostgreSQL as relance_dispatcher (workers)"),
    Variable("RELANCE_PUMP_URL", "", "PostgreSQL as relance_pump (workers)"),
    Variable("RELANCE_OWNER_URL", "", "PostgreSQL as a superuser (migrate and maintain only)"),
    Variable(
        "RELANCE_REDIS_URL",
        "",
        "Valkey or Redis: the doorbell and counters of requests; without it an embedded one runs",
    ),
    Variable("RELANCE_KEY_FILE", "", "The key-encryption key of 32 bytes; required with an external database"),
    Variable("RELANCE_HOST", "127.0.0.1", "Where `relance serve` listens"),
    Variable("RELANCE_PORT", "8000", "The port of `relance serve`"),
    Variable("RELANCE_PUBLIC_URL", "http://127.0.0.1:8000", "How the world reaches the API: in links and problems"),
    Variable("RELANCE_REQUESTS_PER_MINUTE", "1200", "Requests of one API key a minute; of a tenant five times as many"),
    Variable("RELANCE_METRICS_TOKEN", "", "Bearer token of /metrics; without it the page does not exist"),
    Variable("RELANCE_MAIL_FROM", "no-reply@relance.example", "The platform's From address"),
    Variable("RELANCE_MAIL_DOMAIN", "relance.example", "The right-hand side of Message-IDs; never change it"),
    Variable("RELANCE_SMTP_HOST", "", "The SMTP server of live tenants; without it they cannot send"),
    Variable("RELANCE_SMTP_PORT", "587", "Its port"),
    Variable("RELANCE_SMTP_USERNAME", "", "Its login"),
    Variable("RELANCE_SMTP_PASSWORD", "", "Its password"),
    Variable("RELANCE_CAPTURE_PORT", "0", "A loopback port where sandboxes' mails are captured; 0: by each worker"),
    Variable("RELANCE_CAPTURE_SECRET", "", "The password of that capture server"),
    Variable("RELANCE_LEASE_S", "30", "How long a worker's lease lasts between renewals, in seconds"),
    Variable("RELANCE_ALLOW_PRIVATE", "", "Networks, comma-separated, that webhooks may reach though not public"),
    Variable("RELANCE_LOG_LEVEL", "info", "debug, info, warning or error: the least that is written"),
    Variable("RELANCE_LOG_FORM", "auto", "json, console, or auto by the terminal"),
)
_DEFAULTS: Final = {variable.name: variable.default for variable in VARIABLES}


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that a process is told from outside."""

    data_dir: Path
    database_url: str | None
    dispatcher_url: str | None
    pump_url: str | None
    owner_url: str | None
    redis_url: str | None
    key_file: Path | None
    host: str
    port: int
    public_url: str
    requests_per_minute: int
    metrics_token: str | None
    identity: SenderIdentity
    smtp: SmtpSettings | None
    capture_port: int
    capture_secret: str | None
    lease: timedelta
    http: HttpSettings
    logs: LogSettings

    @property
    def embedded_database(self) -> bool:
        """Whether this machine runs its own PostgreSQL."""
        return self.database_url is None


def read(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment; raises SettingInvalid with the variable's name."""
    given = os.environ if environment is None else environment
    values = _DEFAULTS | {name: given[name] for name in _DEFAULTS if given.get(name)}
    unknown = sorted(name for name in given if name.startswith("RELANCE_") and name not in _KNOWN)
    if unknown:
        raise SettingInvalid(f"{unknown[0]} is no setting of Relance")
    if values["RELANCE_DATABASE_URL"] and not values["RELANCE_KEY_FILE"]:
        raise SettingInvalid("an external database needs RELANCE_KEY_FILE: keys must not live beside a container")
    return Settings(
        data_dir=Path(values["RELANCE_DATA_DIR"]).expanduser(),
        database_url=values["RELANCE_DATABASE_URL"] or None,
        dispatcher_url=values["RELANCE_DISPATCHER_URL"] or None,
        pump_url=values["RELANCE_PUMP_URL"] or None,
        owner_url=values["RELANCE_OWNER_URL"] or None,
        redis_url=values["RELANCE_REDIS_URL"] or None,
        key_file=Path(values["RELANCE_KEY_FILE"]) if values["RELANCE_KEY_FILE"] else None,
        host=values["RELANCE_HOST"],
        port=_whole(values, "RELANCE_PORT", 0, 65_535),
        public_url=values["RELANCE_PUBLIC_URL"].rstrip("/"),
        requests_per_minute=_whole(values, "RELANCE_REQUESTS_PER_MINUTE", 1, 10_000_000),
        metrics_token=values["RELANCE_METRICS_TOKEN"] or None,
        identity=SenderIdentity(
            from_address=values["RELANCE_MAIL_FROM"], domain=values["RELANCE_MAIL_DOMAIN"], platform_name="Relance"
        ),
        smtp=_smtp(values),
        capture_port=_whole(values, "RELANCE_CAPTURE_PORT", 0, 65_535),
        capture_secret=values["RELANCE_CAPTURE_SECRET"] or None,
        lease=timedelta(seconds=_whole(values, "RELANCE_LEASE_S", 1, 3_600)),
        http=_http(values),
        logs=_logs(values),
    )


# Read by the tests and by commands of their own, not settings of the service.
_KNOWN: Final = frozenset(_DEFAULTS) | {"RELANCE_REFERENCE", "RELANCE_TEST_DATABASE_URL", "RELANCE_CHILD"}


def _whole(values: Mapping[str, str], name: str, low: int, high: int) -> int:
    try:
        number = int(values[name])
    except ValueError as error:
        raise SettingInvalid(f"{name} is a whole number") from error
    if not low <= number <= high:
        raise SettingInvalid(f"{name} lies between {low} and {high}")
    return number


def _smtp(values: Mapping[str, str]) -> SmtpSettings | None:
    if not values["RELANCE_SMTP_HOST"]:
        return None
    try:
        return SmtpSettings(
            host=values["RELANCE_SMTP_HOST"],
            port=_whole(values, "RELANCE_SMTP_PORT", 1, 65_535),
            username=values["RELANCE_SMTP_USERNAME"] or None,
            password=values["RELANCE_SMTP_PASSWORD"] or None,
        )
    except ValueError as error:
        raise SettingInvalid(f"the SMTP settings do not fit together: {error}") from error


def _logs(values: Mapping[str, str]) -> LogSettings:
    asked = {"level": values["RELANCE_LOG_LEVEL"], "form": values["RELANCE_LOG_FORM"]}
    try:
        return msgspec.convert(asked, LogSettings)
    except msgspec.ValidationError as error:
        raise SettingInvalid(f"RELANCE_LOG_LEVEL and RELANCE_LOG_FORM: {error}") from error


def _http(values: Mapping[str, str]) -> HttpSettings:
    try:
        networks = tuple(
            ipaddress.ip_network(part.strip()) for part in values["RELANCE_ALLOW_PRIVATE"].split(",") if part.strip()
        )
    except ValueError as error:
        raise SettingInvalid(f"RELANCE_ALLOW_PRIVATE: {error}") from error
    return HttpSettings(allow_private=networks, allow_http=bool(networks))
