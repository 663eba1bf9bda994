"""Policies: the rules by which debts are chased."""

from datetime import datetime

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from api.fields import Name
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from dunning import policies, queries
from dunning.errors import PolicyNameTaken, PolicyNotFound
from dunning.rules import PolicyBody, PolicyInvalid
from dunning.views import PolicyView
from kernel import ids
from kernel.cursors import CursorInvalid
from storage.session import TenantSession


class PolicyIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A policy to be made and published."""

    name: Name
    rules: PolicyBody
    is_default: bool = False


class PolicyVersionIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """The next version of a policy."""

    rules: PolicyBody


class Policies(Controller):
    """A published version never changes; the next one applies to debts that enter later."""

    path = "/v1/policies"
    tags = ["Policies"]

    @post(
        operation_id="createPolicy",
        opt=needs("policies:approve"),
        responses=problems(PolicyInvalid, PolicyNameTaken),
    )
    async def create(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[PolicyIn]
    ) -> PolicyView:
        """Make a policy and publish its first version."""
        return await policies.create(session, data.name, data.rules, now, default=data.is_default)

    @get(operation_id="listPolicies", opt=needs("policies:read"), responses=problems(CursorInvalid))
    async def index(self, session: NamedDependency[TenantSession], page: NamedDependency[Page]) -> PageOf[PolicyView]:
        """List policies with the rules in force, the newest first."""
        rows = await queries.policies(session, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda row: PolicyView.of(*row), lambda row: [row[0].id.hex])

    @get("/{policy_id:str}", operation_id="getPolicy", opt=needs("policies:read"), responses=problems(PolicyNotFound))
    async def read(self, session: NamedDependency[TenantSession], policy_id: FromPath[str]) -> PolicyView:
        """Read a policy with the rules in force."""
        row = await policies.policy(session, ids.decode("pol", policy_id))
        return PolicyView.of(row, await policies.published(session, row.id))

    @post(
        "/{policy_id:str}/versions",
        operation_id="publishPolicyVersion",
        opt=needs("policies:approve"),
        responses=problems(PolicyInvalid, PolicyNotFound),
        status_code=200,
    )
    async def publish(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        policy_id: FromPath[str],
        data: JSONBody[PolicyVersionIn],
    ) -> PolicyView:
        """Publish the next version. Debts that are being chased keep theirs."""
        return await policies.publish(session, ids.decode("pol", policy_id), data.rules, now)
