from uuid import UUID

from sqlalchemy import text

from storage.database import Database
from support.tenants import CAUSE


async def test_a_tenant_sees_itself_alone(database: Database, tenant_id: UUID, other_tenant_id: UUID) -> None:
    async with database.tenant(tenant_id, CAUSE) as session:
        seen = (await session.execute(text("select tenant_id from app.tenant limit 9"))).scalars().all()
    assert seen == [tenant_id]


async def test_again(database: Database, tenant_id: UUID, other_tenant_id: UUID) -> None:
    async with database.operator() as session:
        assert (await session.execute(text("select count(*) from app.tenant"))).scalar_one() == 2
