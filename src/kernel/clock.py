"""Time: instants are aware UTC datetimes, days are dates of a named zone.

`system_now` is the only wall clock of the product outside the database. Business time is the tenant's clock and is
always passed in.
"""

from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo


def system_now() -> datetime:
    """The machine's clock, for logs, signatures and expiry; never for a business date."""
    return datetime.now(UTC)


@lru_cache(maxsize=700)
def zone(name: str) -> ZoneInfo:
    """An IANA zone by name; raises ZoneInfoNotFoundError."""
    return ZoneInfo(name)


def day_of(instant: datetime, zone_name: str) -> date:
    """The calendar day that an instant falls on in a zone."""
    return instant.astimezone(zone(zone_name)).date()


def at(day: date, local: time, zone_name: str) -> datetime:
    """The UTC instant of a local time on a day.

    A time that a spring change skips becomes the instant after the gap, one that an autumn change repeats its first
    occurrence (fold 0), so that a day has exactly one such instant.
    """
    return datetime.combine(day, local, zone(zone_name)).astimezone(UTC)
