"""What every table is made of: the metadata, the tenant's columns, types that an index may use under row security."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKeyConstraint,
    MetaData,
    Text,
    func,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

E = TypeVar("E", bound=StrEnum)

SCHEMA = "app"
NAMES = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_1_name)s_%(referred_table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}


class Base(DeclarativeBase):
    """The one metadata of the product; its tables live in the schema `app`."""

    metadata = MetaData(schema=SCHEMA, naming_convention=NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {  # Any: SQLAlchemy's own type of this mapping
        datetime: DateTime(timezone=True),
        str: Text(),
        int: BigInteger(),
    }


class TenantRow:
    """What every row of a tenant's object has. `tenant_id` leads each key, so that no reference crosses tenants."""

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(default=1)  # its ETag, and the sequence of its events
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())  # system time


class TextEnum(TypeDecorator[E]):
    """A StrEnum kept as `text` (leakproof, unlike a native enum); the CHECK comes from `one_of`."""

    impl = Text
    cache_ok = True

    def __init__(self, members: type[E]) -> None:
        super().__init__()
        self.members = members

    def process_bind_param(self, value: E | None, dialect: Dialect) -> str | None:
        return None if value is None else self.members(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> E | None:
        return None if value is None else self.members(value)


def one_of(column: str, members: type[StrEnum]) -> CheckConstraint:
    """Accept only the values of an enumeration."""
    values = ", ".join(f"'{member.value}'" for member in members)
    return CheckConstraint(f"{column} in ({values})", name=f"{column}_known")


def belongs_to(parent: str, column: str = "") -> ForeignKeyConstraint:
    """Refer to a parent of the same tenant; the column is `<parent>_id` unless named."""
    own = column or f"{parent}_id"
    return ForeignKeyConstraint(["tenant_id", own], [f"{SCHEMA}.{parent}.tenant_id", f"{SCHEMA}.{parent}.id"])


def money(column: str, low: int = 0) -> CheckConstraint:
    """Bound an amount in minor units: at least `low` and at most 2^53-1."""
    return CheckConstraint(f"{column} between {low} and 9007199254740991", name=f"{column}_bounds")
