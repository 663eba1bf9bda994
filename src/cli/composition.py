"""Where the parts are put together: the registry of reactions and ports, sealed before anything is emitted."""

from datetime import datetime
from uuid import UUID

import billing_connectors.erasure
import billing_connectors.events
import billing_connectors.file_imports.closing
import billing_connectors.file_imports.events
import billing_connectors.file_imports.running
import billing_connectors.file_imports.undoing
import billing_connectors.intakes.events
import billing_connectors.intakes.working
import casework.erasure
import casework.events
import casework.holds
import dunning.events
import dunning.planning
import dunning.reactions
import messaging.events
import receivables.erasure
import receivables.events
import receivables.reactions
import tenants.advancing
import tenants.events
import webhooks.events
import webhooks.recovery
from casework.tasks import open_task
from dunning.composing import DunningComposer
from dunning.gating import DunningGate
from messaging.sending import Sender
from messaging.writing import SenderIdentity, Writer
from storage.encryption import KeyRing
from storage.registry import Registry
from storage.session import TenantSession

MODULES = (
    billing_connectors.erasure,
    billing_connectors.file_imports.closing,
    billing_connectors.file_imports.running,
    billing_connectors.file_imports.undoing,
    billing_connectors.intakes.working,
    casework.erasure,
    casework.holds,
    dunning.planning,
    dunning.reactions,
    receivables.erasure,
    receivables.reactions,
    tenants.advancing,
    webhooks.recovery,
)
EVENTS = (  # imported so that the catalogue is whole in every process: a worker may emit what another module declares
    billing_connectors.events,
    billing_connectors.file_imports.events,
    billing_connectors.intakes.events,
    casework.events,
    dunning.events,
    messaging.events,
    receivables.events,
    tenants.events,
    webhooks.events,
)


async def open_dead_letter(session: TenantSession, queue: str, row_id: UUID, error: str, now: datetime) -> None:
    """Work that was given up is somebody's task."""
    await open_task(
        session,
        kind="dead_letter",
        subject_id=row_id,
        debtor_id=None,
        title=f"Work of the queue '{queue}' has failed for good",
        detail=error,
        now=now,
    )


def build_registry() -> Registry:
    """Everything that acts on a row without being called for it."""
    registry = Registry()
    registry.collect(*MODULES)
    return registry.seal(gate=DunningGate(), on_dead=open_dead_letter)


def build_sender(registry: Registry, keys: KeyRing, identity: SenderIdentity, public_url: str) -> Sender:
    """What sending needs: the gate, who composes, how it is written."""
    composer = DunningComposer(
        link_secret=keys.provider.derive("unsubscribe"),
        public_url=public_url,
        fallback_reply_to=identity.from_address,
    )
    return Sender(registry.gate, composer, Writer(identity), keys)
