"""Source links: what an object is called in a source, and what of it was read last."""

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from storage.session import TenantSession, tenant_of


class Link(Struct, frozen=True):
    """One name of an object in a source; an unchanged hash means that nothing is to be done."""

    external_id: str
    object_id: UUID
    content_hash: bytes | None = None


async def linked(session: TenantSession, source: str, kind: str, external_ids: Iterable[str]) -> dict[str, Link]:
    """What a source's names lead to; an unknown name is absent."""
    values = {"tenant_id": tenant_of(session), "source": source, "kind": kind, "external_ids": list(external_ids)}
    rows = await session.execute(_LINKED, values)
    return {row.external_id: Link(row.external_id, row.object_id, row.content_hash) for row in rows}


async def link(session: TenantSession, source: str, kind: str, links: Sequence[Link]) -> None:
    """Remember what a source calls objects; a name that is known leads to the new object from now on."""
    if not links:
        return
    values = {
        "tenant_id": tenant_of(session),
        "source": source,
        "kind": kind,
        "external_ids": [each.external_id for each in links],
        "objects": [each.object_id for each in links],
        "hashes": [each.content_hash for each in links],
    }
    await session.execute(_LINK, values)


# Joined, since a thousand names in `any` would each be looked for in a list.
_LINKED: Final = text("""
select l.external_id, l.object_id, l.content_hash
from unnest(cast(:external_ids as text[])) as u(external_id)
join app.source_link l on l.tenant_id = :tenant_id and l.source = :source and l.kind = :kind
  and l.external_id = u.external_id
""")  # bounded: by the names asked for
_LINK: Final = text("""
insert into app.source_link (tenant_id, source, kind, external_id, object_id, content_hash)
select :tenant_id, :source, :kind, u.external_id, u.object_id, u.content_hash
from unnest(cast(:external_ids as text[]), cast(:objects as uuid[]), cast(:hashes as bytea[]))
  as u(external_id, object_id, content_hash)
order by u.external_id
on conflict (tenant_id, source, kind, external_id)
do update set object_id = excluded.object_id, content_hash = excluded.content_hash
""")
