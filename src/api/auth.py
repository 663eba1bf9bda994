"""From a bearer token to a caller. A recognised key is remembered for a few seconds, so that it costs no look-up."""

import time
from collections import OrderedDict
from typing import Final

from api.exchange import Exchange
from api.resources import Resources
from kernel.clock import system_now
from kernel.errors import Unauthenticated
from storage import access_log
from storage.session import Cause
from tenants import keys, tokens
from tenants.caller import Caller
from tenants.errors import KeyRefused
from tenants.keys import Verified

_MAX_KNOWN: Final = 10_000
_NOTE_EVERY_S: Final = 60.0  # one access row a minute for one refused key: a loop must not fill the table
_SCHEME: Final = "bearer "


class Doorkeeper:
    """Recognises keys. A revoked key is refused at the latest `remember_s` after its revocation."""

    def __init__(self, resources: Resources, remember_s: float) -> None:
        self._resources, self._remember_s = resources, remember_s
        self._known: OrderedDict[bytes, tuple[float, Verified]] = OrderedDict()
        self._noted: OrderedDict[tuple[bytes, str], float] = OrderedDict()

    async def recognise(self, authorization: str | None, request_id: str) -> Verified:
        """Whose request this is; raises Unauthenticated."""
        if authorization is None or not authorization[: len(_SCHEME)].lower() == _SCHEME:
            raise Unauthenticated
        text = authorization[len(_SCHEME) :].strip()
        token = tokens.read(text)
        if token is None:
            raise Unauthenticated
        known = self._known.get(token.digest)
        if known is not None and known[0] > time.monotonic():
            if known[1].expires_at is None or known[1].expires_at > system_now():
                return known[1]
            del self._known[token.digest]
        return await self._look_up(token, request_id)

    async def _look_up(self, token: tokens.Token, request_id: str) -> Verified:
        try:
            async with self._resources.database.directory() as session:
                found = await keys.verify(session, token.text)
        except KeyRefused as refused:
            caller = Caller(kind="api_key", id=tokens.name_of(refused.key_id), scopes=frozenset())
            await self.note(refused, caller, request_id)
            raise Unauthenticated from None
        if not found.was_used_today:
            async with self._resources.database.tenant(found.tenant_id, found.caller.cause(request_id)) as session:
                await keys.mark_used(session, found.key_id)
        self._known[token.digest] = (time.monotonic() + self._remember_s, found)
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
        return found

    async def note(self, refused: KeyRefused, caller: Caller, request_id: str) -> None:
        """Keep an access row of a key that was refused: revoked, expired, or with a secret that is not its own."""
        if self._is_new((refused.key_id.bytes, refused.why)):
            async with self._resources.database.tenant(refused.tenant_id, caller.cause(request_id)) as session:
                access_log.note(
                    session, caller=caller.id, action="authenticate", outcome="refused", request_id=request_id,
                    detail=refused.why,
                )  # fmt: skip

    async def note_forbidden(self, exchange: Exchange, operation: str, scope: str) -> None:
        """Keep an access row of an operation that a caller's scopes do not cover."""
        caller, tenant_id = exchange.caller, exchange.tenant_id
        if caller is None or tenant_id is None or not self._is_new((caller.id.encode(), operation)):
            return
        cause = Cause(kind=caller.kind, id=caller.id, request_id=exchange.request_id)
        async with self._resources.database.tenant(tenant_id, cause) as session:
            access_log.note(
                session, caller=caller.id, action=operation, outcome="forbidden", request_id=exchange.request_id,
                detail=scope,
            )  # fmt: skip

    def _is_new(self, what: tuple[bytes, str]) -> bool:
        now = time.monotonic()
        last = self._noted.get(what)
        if last is not None and now - last < _NOTE_EVERY_S:
            return False
        self._noted[what] = now
        if len(self._noted) > _MAX_KNOWN:
            self._noted.popitem(last=False)
        return True
