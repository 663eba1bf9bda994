"""Tasks: what a person has to do."""

from datetime import datetime
from typing import Annotated, Literal

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct

from api.fields import IdText, Name, Note, body_id, id_filter
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from api.v1.drafting import sent
from api.v1.filters import DebtorFilter, InvoiceFilterId
from casework import access, queries
from casework.errors import TaskNotFound, TaskNotOpen
from casework.models import TaskState
from casework.queries import TaskFilter
from casework.tasks import HandTask, assign_task, close_task, open_by_hand
from casework.views import TaskView
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import PreconditionFailed
from receivables.errors import DebtorNotFound, InvoiceNotFound
from storage.session import TenantSession


class TaskIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Something to be done that nobody but its author knows of."""

    title: Name
    detail: Note | None = None
    debtor_id: IdText | None = None
    invoice_id: IdText | None = None
    assignee: Name | None = None


class Assignment(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who is to do it; null for nobody yet."""

    assignee: Name | None


class Closing(Struct, kw_only=True, forbid_unknown_fields=True):
    """How a task ended."""

    state: Literal["done", "dismissed"] = "done"


class Tasks(Controller):
    """Opened once per cause by what needs a person, or by hand."""

    path = "/v1/tasks"
    tags = ["Tasks"]

    @post(operation_id="createTask", opt=needs("tasks:write"), responses=problems(DebtorNotFound, InvoiceNotFound))
    async def create(
        self, session: NamedDependency[TenantSession], now: NamedDependency[datetime], data: JSONBody[TaskIn]
    ) -> TaskView:
        """Open a task by hand."""
        fields = sent(
            data,
            debtor_id=None if data.debtor_id is None else body_id(data.debtor_id, "dbt", "debtor_id"),
            invoice_id=None if data.invoice_id is None else body_id(data.invoice_id, "inv", "invoice_id"),
        )
        return await open_by_hand(session, HandTask(**fields), now)

    @get(operation_id="listTasks", opt=needs("tasks:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        *,
        in_state: Annotated[TaskState | None, QueryParameter(name="state")] = None,
        kind: Annotated[str | None, QueryParameter(name="kind", min_length=1, max_length=60)] = None,
        debtor: DebtorFilter = None,
        invoice: InvoiceFilterId = None,
        assignee: Annotated[str | None, QueryParameter(name="assignee", min_length=1, max_length=200)] = None,
    ) -> PageOf[TaskView]:
        """List tasks, the newest first."""
        wanted = TaskFilter(
            state=in_state,
            kind=kind,
            debtor_id=id_filter(debtor, "debtor", "dbt"),
            invoice_id=id_filter(invoice, "invoice", "inv"),
            assignee=assignee,
        )
        rows = await queries.tasks(session, wanted, after=page.after_id(), limit=page.fetch)
        return page.of(rows, lambda view: view, lambda view: [ids.decode("tsk", view.id).hex])

    @get("/{task_id:str}", operation_id="getTask", opt=needs("tasks:read"), responses=problems(TaskNotFound))
    async def read(self, session: NamedDependency[TenantSession], task_id: FromPath[str]) -> TaskView:
        """Read one task."""
        return TaskView.of(await access.task(session, ids.decode("tsk", task_id)))

    @post(
        "/{task_id:str}/assign",
        operation_id="assignTask",
        status_code=200,
        opt=needs("tasks:write"),
        responses=problems(TaskNotFound, TaskNotOpen, PreconditionFailed),
    )
    async def assign(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        task_id: FromPath[str],
        data: JSONBody[Assignment],
    ) -> TaskView:
        """Say who is to do a task."""
        wanted = ids.decode("tsk", task_id)
        return await assign_task(session, wanted, data.assignee, now, expected_version=expected_version)

    @post(
        "/{task_id:str}/close",
        operation_id="closeTask",
        status_code=200,
        opt=needs("tasks:write"),
        responses=problems(TaskNotFound, TaskNotOpen, PreconditionFailed),
    )
    async def close(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        task_id: FromPath[str],
        data: JSONBody[Closing],
    ) -> TaskView:
        """Close a task."""
        wanted = ids.decode("tsk", task_id)
        return await close_task(session, wanted, TaskState(data.state), now, expected_version=expected_version)
