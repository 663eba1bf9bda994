"""The random passwords of the servers and their roles, made once and kept in the data folder."""

import os
import secrets
from typing import Final

import msgspec
from msgspec import Struct

from storage.embedded.errors import SecretsLost
from storage.embedded.layout import Layout
from storage.embedded.ownership import write_private

SUPERUSER: Final = "postgres"
LOGIN_ROLES: Final = ("relance_app", "relance_dispatcher", "relance_pump", "relance_admin")
PASSWORD_BYTES: Final = 24
FILE_BYTES: Final = 10_000


class Secrets(Struct, frozen=True, kw_only=True):
    """What the servers ask for: PostgreSQL by role, Valkey with one password."""

    postgres: dict[str, str]
    valkey: str

    def __repr__(self) -> str:
        return "Secrets(…)"


def load_or_make(place: Layout) -> Secrets:
    """Read the passwords, or make them if no server has been made with any."""
    path = place.of("secrets.json")
    if not path.exists():
        if place.of("postgres").exists():
            raise SecretsLost(f"{path} is missing.")
        made = Secrets(
            postgres={role: secrets.token_urlsafe(PASSWORD_BYTES) for role in (SUPERUSER, *LOGIN_ROLES)},
            valkey=secrets.token_urlsafe(PASSWORD_BYTES),
        )
        write_private(path, msgspec.json.encode(made).decode() + "\n")
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        try:
            kept = msgspec.json.decode(file.read(FILE_BYTES), type=Secrets)
        except msgspec.DecodeError as error:
            raise SecretsLost(f"{path} is damaged ({error}).") from error
    missing = {SUPERUSER, *LOGIN_ROLES} - kept.postgres.keys()
    if missing:
        raise SecretsLost(f"{path} has no password for {', '.join(sorted(missing))}.")
    return kept
