"""How long content is kept: each class of blobs has an end, and `relance maintain` enforces it.

What expires loses its row and, where the key is the blob's own, the key: nothing of it can be read again.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

# By retention class. Accounting documents: ten years from the end of the year (C. com. L123-22), so eleven are safe.
# An export holds many people at once and says nothing that its invoices do not: it goes after three months.
KEPT: Final = {
    "upload": timedelta(days=90),
    "raw_export": timedelta(days=90),
    "raw_document": timedelta(days=11 * 366),
}
BATCH: Final = 500
ROUNDS: Final = 200  # of one run: the next day goes on


def expire(connection: Connection, now: datetime) -> dict[str, int]:
    """Remove what is past its time, in batches; answers how many blobs of each class. Run it daily."""
    gone: dict[str, int] = {}
    for name, kept in KEPT.items():
        for _ in range(ROUNDS):
            values = {"retention": name, "before": now - kept, "rows": BATCH}
            removed = connection.execute(_EXPIRE, values).scalar_one()
            if removed:
                gone[name] = gone.get(name, 0) + removed
            if removed < BATCH:
                break
    return gone


# A key goes with the last blob that is sealed under it, and only where it is no debtor's.
_EXPIRE: Final = text("""
with old as (
  select b.tenant_id, b.id, b.subject_id from app.blob b
  where b.retention = :retention and b.recorded_at < :before order by b.recorded_at limit :rows
), removed as (
  delete from app.blob b using old where b.tenant_id = old.tenant_id and b.id = old.id returning b.tenant_id, b.id
), keys as (
  delete from app.data_key k using old
  where k.tenant_id = old.tenant_id and k.subject_id = old.subject_id
    and not exists (select from app.debtor d where d.tenant_id = k.tenant_id and d.id = k.subject_id)
    and not exists (select from app.blob o where o.tenant_id = k.tenant_id and o.subject_id = k.subject_id
                    and not exists (select from old x where x.tenant_id = o.tenant_id and x.id = o.id))
)
select count(*) from removed
""")
