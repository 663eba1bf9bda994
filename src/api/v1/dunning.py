"""Dunning: what happens next with an invoice and why not now; courses; notices."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api.fields import ID, IdText, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from dunning import courses, queries
from dunning.errors import CourseNotFound, CourseNotInReview
from dunning.explaining import DunningView, explain
from dunning.models import CourseState, NoticeState
from dunning.views import CourseView, NoticeView
from kernel import ids
from kernel.cursors import CursorInvalid
from receivables import access
from receivables.errors import InvoiceNotFound
from storage.session import TenantSession

DebtorFilter = Annotated[str | None, QueryParameter(name="debtor", pattern=ID, description="Only of this debtor.")]
CourseStateFilter = Annotated[
    CourseState | None, QueryParameter(name="state", description="`review` waits for a person.")
]
NoticeStateFilter = Annotated[NoticeState | None, QueryParameter(name="state")]


class CoursesIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which courses are meant."""

    course_ids: Annotated[list[IdText], Meta(min_length=1, max_length=100)]


class CoursesOut(Struct, kw_only=True):
    """The courses as they are now."""

    data: list[CourseView]


class InvoiceDunning(Controller):
    """The decision, asked without writing anything."""

    path = "/v1/invoices/{invoice_id:str}/dunning"
    tags = ["Dunning"]

    @get(operation_id="getInvoiceDunning", opt=needs("dunning:read"), responses=problems(InvoiceNotFound))
    async def read(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], invoice_id: FromPath[str]
    ) -> DunningView:
        """Say what happens next with an invoice, when, and what stands in the way now."""
        row = await access.invoice(session, ids.decode("inv", invoice_id))
        return await explain(session, row.id, now)


class Courses(Controller):
    """A course is a policy version applied to an instalment."""

    path = "/v1/courses"
    tags = ["Dunning"]

    @get(operation_id="listCourses", opt=needs("dunning:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        in_state: CourseStateFilter = None,
        debtor: DebtorFilter = None,
    ) -> PageOf[CourseView]:
        """List courses, the newest first."""
        rows = await queries.courses(
            session,
            state=None if in_state is None else in_state.value,
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            after=page.after_id(),
            limit=page.fetch,
        )
        return page.of(rows, CourseView.of, lambda row: [row.id.hex])

    @post(
        "/release",
        operation_id="releaseCourses",
        status_code=200,
        opt=needs("dunning:write", key="required"),
        responses=problems(CourseNotFound, CourseNotInReview),
    )
    async def release(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[CoursesIn]
    ) -> CoursesOut:
        """Let old debts be chased that waited for a review."""
        wanted = [ids.decode("crs", course_id) for course_id in data.course_ids]
        return CoursesOut(data=await courses.release(session, wanted, now))


class Notices(Controller):
    """A notice is one step taken about one instalment: the legal trace."""

    path = "/v1/notices"
    tags = ["Dunning"]

    @get(operation_id="listNotices", opt=needs("dunning:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        debtor: DebtorFilter = None,
        in_state: NoticeStateFilter = None,
    ) -> PageOf[NoticeView]:
        """List notices, the newest first."""
        rows = await queries.notices(
            session,
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            state=None if in_state is None else in_state.value,
            after=page.after_id(),
            limit=page.fetch,
        )
        return page.of(rows, NoticeView.of, lambda row: [row.id.hex])
