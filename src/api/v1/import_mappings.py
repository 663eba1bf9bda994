"""Import mappings: how a tenant's files are read, under a name."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Struct, UnsetType

from api.fields import Name
from api.pages import Page, PageOf
from api.problems import problems
from api.routes import needs
from billing_connectors.csv_files.mapping import BadMapping, CsvMapping
from billing_connectors.file_imports import access, mappings, queries
from billing_connectors.file_imports.errors import MappingNameTaken, MappingNotFound
from billing_connectors.file_imports.models import ImportKind
from billing_connectors.file_imports.views import ImportMappingView
from kernel import ids
from kernel.cursors import CursorInvalid
from kernel.errors import PreconditionFailed
from storage.session import TenantSession


class ImportMappingIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A mapping to be kept."""

    name: Name
    kind: ImportKind = ImportKind.INVOICES
    mapping: CsvMapping


class ImportMappingPatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of a mapping can be changed."""

    name: Name | UnsetType = UNSET
    mapping: CsvMapping | UnsetType = UNSET


class ImportMappings(Controller):
    """An import takes a copy of the mapping that it names: changing one changes no import."""

    path = "/v1/import_mappings"
    tags = ["Imports"]

    @post(
        operation_id="createImportMapping",
        opt=needs("import_mappings:write"),
        responses=problems(BadMapping, MappingNameTaken),
    )
    async def create(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        data: JSONBody[ImportMappingIn],
    ) -> ImportMappingView:
        """Keep a mapping under a name."""
        return await mappings.create(session, data.name, data.kind, data.mapping, now)

    @get(operation_id="listImportMappings", opt=needs("import_mappings:read"), responses=problems(CursorInvalid))
    async def index(
        self,
        session: NamedDependency[TenantSession],
        page: NamedDependency[Page],
        archived: Annotated[bool | None, QueryParameter(name="archived")] = None,
    ) -> PageOf[ImportMappingView]:
        """List mappings, the newest first."""
        rows = await queries.mappings(session, archived=archived, after=page.after_id(), limit=page.fetch)
        return page.of(rows, ImportMappingView.of, lambda row: [row.id.hex])

    @get(
        "/{mapping_id:str}",
        operation_id="getImportMapping",
        opt=needs("import_mappings:read"),
        responses=problems(MappingNotFound),
    )
    async def read(self, session: NamedDependency[TenantSession], mapping_id: FromPath[str]) -> ImportMappingView:
        """Read a mapping."""
        return ImportMappingView.of(await access.mapping(session, ids.decode("imm", mapping_id)))

    @patch(
        "/{mapping_id:str}",
        operation_id="updateImportMapping",
        opt=needs("import_mappings:write"),
        responses=problems(MappingNotFound, BadMapping, MappingNameTaken, PreconditionFailed),
    )
    async def update(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        mapping_id: FromPath[str],
        data: JSONBody[ImportMappingPatch],
    ) -> ImportMappingView:
        """Change a mapping; it gets another version, and imports keep the one that they were made with."""
        wanted = ids.decode("imm", mapping_id)
        return await mappings.update(
            session, wanted, now, name=data.name, mapping=data.mapping, expected_version=expected_version
        )

    @post(
        "/{mapping_id:str}/archive",
        operation_id="archiveImportMapping",
        status_code=200,
        opt=needs("import_mappings:write"),
        responses=problems(MappingNotFound, PreconditionFailed),
    )
    async def archive(
        self,
        session: NamedDependency[TenantSession],
        now: NamedDependency[datetime],
        expected_version: NamedDependency[int | None],
        mapping_id: FromPath[str],
    ) -> ImportMappingView:
        """Offer a mapping no more; its name is free again."""
        wanted = ids.decode("imm", mapping_id)
        return await mappings.archive(session, wanted, now, expected_version=expected_version)
