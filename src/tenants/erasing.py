"""Erase people (GDPR, article 17): every package forgets what it has kept of them, and their keys are destroyed.

The port is `Erasable`: a package marks a function with `storage.registry.erases`, and `cli.composition` gathers it.
What is sealed under a person's own key (events, messages, what documents have said) needs no function: it goes with
the key, also from every backup that is restored later with the rows of `data_key` as they are then.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, cast
from uuid import UUID

from storage.encryption import destroy_keys
from storage.registry import Registry
from storage.session import TenantSession


class Erasable(Protocol):
    """What a package does so that nothing of it tells of these people any more; run twice, it changes nothing more."""

    async def __call__(self, session: TenantSession, subjects: Sequence[UUID], now: datetime) -> None:
        """Forget these people; amounts, dates and who owed what to whom stay."""
        ...


async def erase(session: TenantSession, subjects: Sequence[UUID], now: datetime) -> None:
    """Let every package forget these people, then destroy their keys; all within the caller's transaction."""
    registry = cast("Registry", session.info["registry"])
    for erasable in registry.erasures.values():
        await erasable(session, subjects, now)
    await destroy_keys(session, subjects)
