"""The API's own documents: OpenAPI, a readable list of the operations, a page for each problem code."""

from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from api import openapi, reading
from api.edge import Api
from api.problems import catalogue, problems
from api.resources import ApiSettings
from api.routes import PUBLIC
from kernel.errors import NotFound


class Documents:
    """Written when first asked for, then kept."""

    def __init__(self, app: Api, settings: ApiSettings) -> None:
        self._app, self._settings = app, settings
        self._content: openapi.Json | None = None

    @property
    def content(self) -> openapi.Json:
        """The OpenAPI document."""
        if self._content is None:
            self._content = openapi.document(self._app, self._settings.public_url)
        return self._content


@get("/openapi.json", operation_id="readOpenapi", include_in_schema=False, opt=PUBLIC, sync_to_thread=False)
def read_openapi(documents: NamedDependency[Documents]) -> Response[bytes]:
    """The OpenAPI document."""
    return Response(openapi.written(documents.content), media_type=MediaType.JSON)


@get("/docs", operation_id="readDocs", include_in_schema=False, opt=PUBLIC, sync_to_thread=False)
def read_docs(documents: NamedDependency[Documents]) -> Response[str]:
    """Every operation on one page."""
    return Response(reading.operations(documents.content), media_type=MediaType.HTML)


@get("/docs/problems", operation_id="readProblems", include_in_schema=False, opt=PUBLIC, sync_to_thread=False)
def read_problems() -> Response[str]:
    """Every problem code on one page."""
    return Response(reading.problem_list(catalogue()), media_type=MediaType.HTML)


@get(
    "/docs/problems/{code:str}", operation_id="readProblem", include_in_schema=False, opt=PUBLIC, sync_to_thread=False,
    responses=problems(NotFound),
)  # fmt: skip
def read_problem(code: FromPath[str]) -> Response[str]:
    """What a problem code means and what to do about it."""
    error = catalogue().get(code)
    if error is None:
        raise NotFound
    return Response(reading.problem(error), media_type=MediaType.HTML)


HANDLERS: Final[list[ControllerRouterHandler]] = [read_openapi, read_docs, read_problems, read_problem]
