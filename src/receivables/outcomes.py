"""What became of each item of a batch: one refused item does not stop the others."""

from typing import Generic, Literal, TypeVar

from msgspec import Struct

from kernel.errors import AppError

V = TypeVar("V")

Status = Literal["created", "updated", "unchanged", "refused"]


class Outcome(Struct, Generic[V], frozen=True):
    """One item's answer: its view, or the error that it alone would have been answered with."""

    status: Status
    view: V | None = None
    error: AppError | None = None

    def get(self) -> V:
        """The view; raises the error of a refused item."""
        if self.error is not None:
            raise self.error
        if self.view is None:
            raise RuntimeError("an outcome has a view or an error")
        return self.view
