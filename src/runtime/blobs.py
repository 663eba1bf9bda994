"""The port through which files are kept: uploads, raw invoices, rendered messages, evidence.

A blob belongs to a tenant, is encrypted, has a digest, a cap and a retention class. `S` is the session that an adapter
works in: PostgreSQL's takes the tenant's own, so that a blob and the row that names it are committed together.
"""

from typing import Final, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct

from kernel.errors import AppError, NotFound

MAX_BLOB_BYTES: Final = 20 * 1024 * 1024

S_contra = TypeVar("S_contra", contravariant=True)


class BlobTooLarge(AppError):
    """The file is larger than may be kept."""

    status = 413
    code = "blob_too_large"
    remedy = f"Send files of at most {MAX_BLOB_BYTES // (1024 * 1024)} MB."


class BlobNotFound(NotFound):
    """There is no such file."""

    code = "blob_not_found"
    remedy = "Check the id; a file whose retention has ended is gone."


class BlobRef(Struct, frozen=True, kw_only=True):
    """What a row keeps of a blob."""

    id: UUID
    kind: str
    sha256: bytes  # of the content as it was given
    size_bytes: int
    retention: str


class Blobs(Protocol[S_contra]):
    """Keeps content for a tenant; another tenant's blob does not exist."""

    async def put(
        self, session: S_contra, *, content: bytes, kind: str, retention: str, subject_id: UUID | None = None
    ) -> BlobRef:
        """Keep content, under the key of `subject_id` where it is about one person; raises BlobTooLarge."""
        ...

    async def get(self, session: S_contra, blob_id: UUID) -> bytes:
        """Give the content back, its digest checked; raises BlobNotFound."""
        ...
