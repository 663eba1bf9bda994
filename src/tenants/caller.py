"""Who is asking, and the one place that decides whether they may: `require`."""

from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct

from kernel.errors import Fault, Forbidden
from storage.session import Cause
from tenants.errors import ScopeUnknown

CallerKind = Literal["api_key", "command", "session_token", "oauth_app", "partner", "portal_link"]

# Every resource of the API by the name of its scopes.
RESOURCES: Final = (
    "api_keys", "charges", "conflicts", "contacts", "credit_notes", "creditors", "debtors", "documents", "dunning",
    "events", "handlings", "holds", "import_mappings", "imports", "insights", "invoices", "jobs", "messages",
    "opt_outs", "policies", "receipts", "statements", "tasks", "tenant", "test_helpers", "uploads", "webhooks",
    "write_offs",
)  # fmt: skip
# Publishing a policy sets what is sent to people; erasing a debtor cannot be taken back.
APPROVABLE: Final = ("debtors", "policies")
SCOPES: Final = frozenset(
    [f"{resource}:{verb}" for resource in RESOURCES for verb in ("read", "write")]
    + [f"{resource}:approve" for resource in APPROVABLE]
)
# What may be written where scopes are asked for; a star stands for what it covers on that day.
SCOPE_WORDS: Final = (
    "*", *(f"*:{verb}" for verb in ("approve", "read", "write")), *(f"{resource}:*" for resource in RESOURCES),
    *sorted(SCOPES),
)  # fmt: skip


class Caller(Struct, frozen=True, kw_only=True):
    """Whoever acts: a program's key, a person's session, a partner."""

    kind: CallerKind
    id: str  # prefixed, as the world knows it
    on_behalf_of: str | None = None
    scopes: frozenset[str]

    def cause(self, request_id: str | None) -> Cause:
        """What its changes are kept under."""
        return Cause(kind=self.kind, id=self.id, on_behalf_of=self.on_behalf_of, request_id=request_id)


def require(caller: Caller, scope: str) -> None:
    """Let the caller pass, or raise Forbidden naming the scope; a scope that nobody declared lets nobody pass."""
    if scope not in SCOPES or scope not in caller.scopes:
        raise Forbidden(f"This operation asks for the scope {scope}.")


def scopes_of(words: Iterable[str]) -> frozenset[str]:
    """Read scopes as people write them: `invoices:read`, `invoices:*`, `*:read`, `*`; raises ScopeUnknown.

    A star is written out when it is read: a key does not grow with the product.
    """
    found: set[str] = set()
    for place, word in enumerate(words):
        matching = _matching(word)
        if not matching:
            fault = Fault(pointer=f"/body/scopes/{place}", code="scope_unknown", message="no such scope")
            raise ScopeUnknown(errors=[fault])
        found |= matching
    return frozenset(found)


def _matching(word: str) -> frozenset[str]:
    resource, _, verb = word.partition(":")
    verb = verb or ("*" if word == "*" else "")
    return frozenset(
        scope
        for scope in SCOPES
        if resource in ("*", scope.partition(":")[0]) and verb in ("*", scope.partition(":")[2])
    )
