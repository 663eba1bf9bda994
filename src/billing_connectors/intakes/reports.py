"""The reports of intakes, which name debtors and are therefore sealed."""

from uuid import UUID

import msgspec

from billing_connectors.intakes.errors import IntakeNotRead
from billing_connectors.intakes.receiving import intake
from billing_connectors.intakes.views import IntakeReport
from kernel.errors import NotFound
from storage.blobs import PostgresBlobs
from storage.session import TenantSession


async def report_of(session: TenantSession, intake_id: UUID) -> IntakeReport:
    """The report of an intake. Raises IntakeNotFound, and IntakeNotRead before it is read or after its retention."""
    row = await intake(session, intake_id)
    if row.report_id is None:
        raise IntakeNotRead
    try:
        content = await PostgresBlobs(session.info["keys"]).get(session, row.report_id)
    except NotFound:
        raise IntakeNotRead from None
    return msgspec.json.decode(content, type=IntakeReport)
