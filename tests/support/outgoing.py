"""Deliveries to post, to a receiver on loopback."""

from typing import Final
from uuid import UUID

from kernel.ids import encode, new_id
from runtime.egress import HttpSettings, network
from webhooks.sending import Outgoing
from webhooks.signing import new_secret, read_keys

SECRET: Final = new_secret()
LOOPBACK: Final = HttpSettings(allow_private=(network("127.0.0.0/8"),), allow_http=True)


def make_outgoing(
    url: str,
    *,
    endpoint_id: UUID | None = None,
    timeout_s: float = 10,
    headers: dict[str, str] | None = None,
    secrets: tuple[str, ...] = (SECRET,),
    body: bytes = b'{"type":"invoice.created"}',
    event_id: str | None = None,
) -> Outgoing:
    return Outgoing(
        delivery_id=new_id(),
        tenant_id=UUID(int=1),
        endpoint_id=endpoint_id or new_id(),
        fence=3,
        url=url,
        event_id=event_id or encode("evt", new_id()),
        body=body,
        keys=read_keys(secrets),
        timeout_s=timeout_s,
        headers=headers or {},
    )
