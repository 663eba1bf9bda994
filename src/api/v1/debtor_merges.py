"""Debtors who are one: merged, taken apart again, suggested; and debtors who are to be forgotten."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api.fields import ID, IdText, Reason, body_id, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from api.v1.filters import DebtorFilter
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import Fault, Invalid, PreconditionFailed
from receivables import access, matches, merging, queries, suggestions
from receivables.erasure import erase_debtor
from receivables.errors import (
    DebtorErased,
    DebtorMerged,
    DebtorNotFound,
    DebtorNotMerged,
    DebtorOwes,
    MatchNotFound,
    MatchNotOpen,
    MergeContradicts,
    MergeInvalid,
)
from receivables.merging import MergePreview
from receivables.party_models import MatchState
from receivables.party_views import DebtorMatchView
from receivables.suggestions import MatchingRuleView, Thresholds
from receivables.views import DebtorView
from storage.session import TenantSession

Score = Annotated[int, Meta(ge=1, le=101, description="Of 100; 101 is never reached.")]


class MergeIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Into whom; `force` where the legal ids contradict each other and one of them is wrong."""

    into_id: IdText
    force: bool = False


class ErasureIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why a debtor is forgotten; `force` forgets also who still owes, and whom nobody can write to about it then."""

    reason: Reason
    force: bool = False


class Acceptance(Struct, kw_only=True, forbid_unknown_fields=True):
    """`force` where the legal ids contradict each other and one of them is wrong."""

    force: bool = False


class ThresholdsIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """From which score on imports link a buyer to a debtor, and from which they suggest it."""

    link_score: Score
    suggest_score: Score


class DebtorMerges(Controller):
    """Two debtors become one by a pointer: nothing else moves, so that unmerging returns everything."""

    path = "/v1/debtors"
    tags = ["Debtors"]

    @get(
        "/{debtor_id:str}/merge_preview",
        operation_id="previewMergeDebtor",
        opt=needs("debtors:read"),
        responses=problems(DebtorNotFound, DebtorMerged, DebtorErased, MergeInvalid),
    )
    async def preview_merge(
        self,
        session: NamedDependency[TenantSession],
        debtor_id: FromPath[str],
        into: Annotated[str | None, QueryParameter(name="into", pattern=ID, description="Into whom: required.")] = None,
    ) -> MergePreview:
        """Show what would be seen under another debtor; nothing is changed."""
        wanted, into_id = ids.decode("dbt", debtor_id), id_filter(into, "into", "dbt")
        await access.debtor(session, wanted)
        if into_id is None:
            fault = Fault(pointer="/query/into", code="required", message="name the debtor to merge into")
            raise Invalid(errors=[fault])
        return await merging.preview_merge(session, wanted, into_id)

    @post(
        "/{debtor_id:str}/merge",
        operation_id="mergeDebtor",
        status_code=200,
        opt=needs("debtors:write"),
        responses=problems(
            DebtorNotFound, DebtorMerged, DebtorErased, MergeInvalid, MergeContradicts, PreconditionFailed
        ),
    )
    async def merge(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        debtor_id: FromPath[str],
        data: JSONBody[MergeIn],
    ) -> DebtorView:
        """Take the debtor for one with another: read, locked and written to as one from now on."""
        return await merging.merge(
            session,
            ids.decode("dbt", debtor_id),
            body_id(data.into_id, "dbt", "into_id"),
            now,
            force=data.force,
            expected_version=expected_version,
        )

    @get(
        "/{debtor_id:str}/unmerge_preview",
        operation_id="previewUnmergeDebtor",
        opt=needs("debtors:read"),
        responses=problems(DebtorNotFound, DebtorNotMerged),
    )
    async def preview_unmerge(self, session: NamedDependency[TenantSession], debtor_id: FromPath[str]) -> MergePreview:
        """Show what the debtor would have by itself again; nothing is changed."""
        return await merging.preview_unmerge(session, ids.decode("dbt", debtor_id))

    @post(
        "/{debtor_id:str}/unmerge",
        operation_id="unmergeDebtor",
        status_code=200,
        opt=needs("debtors:write"),
        responses=problems(DebtorNotFound, DebtorNotMerged, PreconditionFailed),
    )
    async def unmerge(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        debtor_id: FromPath[str],
    ) -> DebtorView:
        """Let the debtor be one of its own again, with everybody who was merged into it."""
        return await merging.unmerge(session, ids.decode("dbt", debtor_id), now, expected_version=expected_version)

    @post(
        "/{debtor_id:str}/erase",
        operation_id="eraseDebtor",
        status_code=200,
        opt=needs("debtors:approve", key="required"),
        responses=problems(DebtorNotFound, DebtorOwes, PreconditionFailed),
    )
    async def erase(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        debtor_id: FromPath[str],
        data: JSONBody[ErasureIn],
    ) -> DebtorView:
        """Forget the debtor and everybody who is one with it, for good (GDPR, article 17).

        What accounts are made of stays: documents, amounts, and of companies their names and legal ids.
        """
        return await erase_debtor(
            session,
            ids.decode("dbt", debtor_id),
            data.reason,
            now,
            force=data.force,
            expected_version=expected_version,
        )


class DebtorMatches(Controller):
    """Pairs of debtors who may be one, with what speaks for it in points of 100."""

    path = "/v1/debtor_matches"
    tags = ["Debtors"]

    @get(operation_id="listDebtorMatches", opt=needs("debtors:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        *,
        debtor: DebtorFilter = None,
        in_state: Annotated[MatchState | None, QueryParameter(name="state")] = None,
    ) -> PageOf[DebtorMatchView]:
        """List matches, the newest first."""
        rows = await queries.debtor_matches(
            session,
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            state=in_state,
            after=page.after_id(),
            limit=page.fetch,
        )
        return page.of(rows, lambda view: view, lambda view: [ids.decode("dmt", view.id).hex])

    @get(
        "/{match_id:str}",
        operation_id="getDebtorMatch",
        opt=needs("debtors:read"),
        responses=problems(MatchNotFound),
    )
    async def read(self, session: NamedDependency[TenantSession], match_id: FromPath[str]) -> DebtorMatchView:
        """Read one match."""
        return DebtorMatchView.of(await matches.match(session, ids.decode("dmt", match_id)))

    @post(
        "/{match_id:str}/accept",
        operation_id="acceptDebtorMatch",
        status_code=200,
        opt=needs("debtors:write"),
        responses=problems(
            MatchNotFound, MatchNotOpen, DebtorErased, MergeInvalid, MergeContradicts, PreconditionFailed
        ),
    )
    async def accept(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        match_id: FromPath[str],
        data: JSONBody[Acceptance],
    ) -> DebtorMatchView:
        """Merge the younger debtor into the older one."""
        return await suggestions.accept(
            session, ids.decode("dmt", match_id), now, expected_version=expected_version, force=data.force
        )

    @post(
        "/{match_id:str}/reject",
        operation_id="rejectDebtorMatch",
        status_code=200,
        opt=needs("debtors:write"),
        responses=problems(MatchNotFound, MatchNotOpen, PreconditionFailed),
    )
    async def reject(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        match_id: FromPath[str],
    ) -> DebtorMatchView:
        """Say that the two are two: they are never suggested again."""
        return await suggestions.reject(session, ids.decode("dmt", match_id), now, expected_version=expected_version)


class DebtorMatching(Controller):
    """How sure a likeness must be."""

    path = "/v1/debtor_matching"
    tags = ["Debtors"]

    @get(operation_id="getDebtorMatching", opt=needs("debtors:read"), responses=problems())
    async def read(self, session: NamedDependency[TenantSession]) -> MatchingRuleView:
        """Read the tenant's thresholds."""
        return await suggestions.thresholds(session)

    @patch(operation_id="updateDebtorMatching", opt=needs("debtors:write"), responses=problems(PreconditionFailed))
    async def update(
        self,
        session: NamedDependency[TenantSession],
        expected_version: NamedDependency[int | None],
        data: JSONBody[ThresholdsIn],
    ) -> MatchingRuleView:
        """Set the tenant's thresholds."""
        wanted = Thresholds(link_score=data.link_score, suggest_score=data.suggest_score)
        return await suggestions.set_thresholds(session, wanted, expected_version=expected_version)
