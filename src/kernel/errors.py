"""Failures that a caller can act on.

Each class is one stable code of the API: its docstring is the public title, `remedy` says what to do.
Whatever is not an `AppError` is a bug and answers a bare 500.
"""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that is wrong in what was sent: where (a JSON pointer), which code, in words."""

    pointer: str
    code: str
    message: str


class AppError(Exception):
    """The request could not be carried out."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "error"
    remedy: ClassVar[str] = ""

    def __init__(self, detail: str = "", *, errors: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)

    @classmethod
    def title(cls) -> str:
        """The first line of the docstring: what happened, in public words."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]


class Malformed(AppError):
    """The request could not be read."""

    status = 400
    code = "malformed"
    remedy = "Send well-formed JSON and parameters of the documented type."


class Unauthenticated(AppError):
    """No valid credential came with the request."""

    status = 401
    code = "unauthenticated"
    remedy = "Send a current API key as 'Authorization: Bearer rel_…'."


class Forbidden(AppError):
    """The credential does not carry the scope that this operation asks for."""

    status = 403
    code = "forbidden"
    remedy = "Use a key with the scope that the documentation of the operation names."


class NotFound(AppError):
    """There is no such object."""

    status = 404
    code = "not_found"
    remedy = "Check the id; list the collection to see what exists."


class Conflict(AppError):
    """The object's present state does not allow this."""

    status = 409
    code = "conflict"
    remedy = "Read the object again and decide on its present state."


class PreconditionFailed(AppError):
    """The object has changed since the version that If-Match names."""

    status = 412
    code = "precondition_failed"
    remedy = "Read the object again, apply the change to it and send its new ETag."


class PreconditionRequired(AppError):
    """This operation must say which version it changes."""

    status = 428
    code = "precondition_required"
    remedy = "Read the object and send its ETag as If-Match."


class Invalid(AppError):
    """The request was read and breaks the contract."""

    status = 422
    code = "invalid"
    remedy = "Correct the fields that 'errors' names and send the request again."
