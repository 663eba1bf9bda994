"""Every table of the product in one metadata: for migrations and for the tests that look at all tables."""

from typing import Final

import billing_connectors.file_imports.models
import billing_connectors.intakes.models
import billing_connectors.models
import billing_connectors.sources.models
import casework.models
import dunning.models
import messaging.models
import receivables.ledger
import receivables.models
import receivables.party_models
import storage.access_log
import storage.blobs
import storage.clocks
import storage.encryption
import storage.events
import storage.idempotency
import storage.jobs
import storage.reactions
import storage.relay
import tenants.models
import webhooks.models
from storage.base import Base

MODULES = (
    billing_connectors.file_imports.models,
    billing_connectors.intakes.models,
    billing_connectors.models,
    billing_connectors.sources.models,
    casework.models,
    dunning.models,
    messaging.models,
    receivables.ledger,
    receivables.models,
    receivables.party_models,
    storage.access_log,
    storage.blobs,
    storage.clocks,
    storage.encryption,
    storage.events,
    storage.idempotency,
    storage.jobs,
    storage.reactions,
    storage.relay,
    tenants.models,
    webhooks.models,
)

metadata = Base.metadata

# Tables that belong to no tenant, and why: no service's role has a grant on them, only definer functions read them.
# Every other table has a tenant, or the catalogue tests turn red.
GLOBAL: Final = {
    "account": "a company, which has several tenants; its slug is unique everywhere",
    "tenant_slug": "the name by which a command finds a tenant, unique everywhere",
    "platform_switch": "the platform owner's kill switches",
    "alembic_version": "how far the database is migrated",
}
