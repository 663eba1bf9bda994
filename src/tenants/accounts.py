"""Accounts: the companies that are our customers. Their table is global and reached only by definer functions."""

import re
from typing import Final
from uuid import UUID

from sqlalchemy import text

from kernel import ids
from storage.session import DirectorySession
from tenants.errors import AccountNotFound, AccountSlugTaken, SlugInvalid

_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])")


def checked_slug(slug: str) -> str:
    """A slug as it may be; raises SlugInvalid."""
    if _SLUG.fullmatch(slug) is None or "--" in slug:
        raise SlugInvalid
    return slug


async def create_account(session: DirectorySession, slug: str, name: str) -> UUID:
    """Make an account; raises AccountSlugTaken."""
    values = {"id": ids.new_id(), "slug": checked_slug(slug), "name": name}
    made: UUID | None = (await session.execute(_CREATE, values)).scalar_one()
    if made is None:
        raise AccountSlugTaken
    return made


async def find_account(session: DirectorySession, slug: str) -> UUID:
    """An account by its slug; raises AccountNotFound."""
    found: UUID | None = (await session.execute(_FIND, {"slug": slug})).scalar_one()
    if found is None:
        raise AccountNotFound
    return found


_CREATE: Final = text("select app.create_account(:id, :slug, :name)")
_FIND: Final = text("select app.find_account(:slug)")
