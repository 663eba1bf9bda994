"""Long work that goes on after its request was answered with 202."""

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.problems import problems
from api.routes import needs
from kernel import ids
from storage.session import TenantSession
from tenants import access
from tenants.errors import JobNotFound
from tenants.views import JobView


class Jobs(Controller):
    """Jobs are made by the operations that answer 202; they are read here."""

    path = "/v1/jobs"
    tags = ["Jobs"]

    @get("/{job_id:str}", operation_id="getJob", opt=needs("jobs:read"), responses=problems(JobNotFound))
    async def read(self, session: NamedDependency[TenantSession], job_id: FromPath[str]) -> JobView:
        """Read how far a job is."""
        return JobView.of(await access.job(session, ids.decode("job", job_id)))
