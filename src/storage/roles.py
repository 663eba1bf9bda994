"""Database roles: made by `relance migrate` with a superuser's connection, before any table exists.

`relance_owner` and `relance_directory` cannot log in; the three services' roles own nothing and bypass nothing.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, text

OWNER: Final = "relance_owner"
DIRECTORY: Final = "relance_directory"
APP: Final = "relance_app"
DISPATCHER: Final = "relance_dispatcher"
PUMP: Final = "relance_pump"
ADMIN: Final = "relance_admin"
SERVICES: Final = (APP, DISPATCHER, PUMP)

_ATTRIBUTES: Final = {
    OWNER: "nologin",
    DIRECTORY: "nologin",
    APP: "login",
    DISPATCHER: "login",
    PUMP: "login",
    ADMIN: "login bypassrls",
}


def ensure_roles(connection: Connection, passwords: Mapping[str, str]) -> None:
    """Create the roles that are missing and set the passwords that are given; run twice, it changes nothing more."""
    for role, attributes in _ATTRIBUTES.items():
        known = connection.execute(text("select 1 from pg_roles where rolname = :role"), {"role": role}).first()
        if known is None:
            _run(connection, f"create role %I nosuperuser nocreatedb nocreaterole noinherit {attributes}", role)
        if role in passwords:
            _run(connection, "alter role %I password %L", role, passwords[role])
    _run(connection, "grant %I to current_user", OWNER)  # migrate does SET ROLE
    _run(connection, "grant %I to current_user", DIRECTORY)
    _run(connection, "grant %I to %I", DIRECTORY, OWNER)  # to hand it the definer functions


def ensure_schema(connection: Connection) -> None:
    """Create the schema `app`, owned by the owner, usable by the services, closed to everyone else."""
    exists = connection.execute(text("select 1 from pg_namespace where nspname = 'app'")).first()
    if exists is None:
        _run(connection, "create schema app authorization %I", OWNER)
    _run(connection, "revoke all on schema public from public")
    _run(connection, "grant usage on schema app to %I, %I, %I, %I, %I", DIRECTORY, APP, DISPATCHER, PUMP, ADMIN)
    _run(connection, "grant create on schema app to %I", DIRECTORY)  # to own the definer functions; it cannot log in
    _run(
        connection,
        "alter default privileges for role %I in schema app grant select, insert, update, delete on tables to %I",
        OWNER,
        ADMIN,
    )


def _run(connection: Connection, template: str, *names: str) -> None:
    """Run DDL whose names and literals PostgreSQL itself quotes."""
    values = {f"p{place}": name for place, name in enumerate(names)}
    arguments = "".join(f", cast(:p{place} as text)" for place in range(len(names)))
    statement = text(f"select format(cast(:template as text){arguments})")  # allow: f-string-sql, placeholders only
    ddl = connection.execute(statement, {"template": template} | values).scalar_one()
    connection.exec_driver_sql(str(ddl).replace("%", "%%") if "%" in str(ddl) else str(ddl))
