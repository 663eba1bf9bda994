"""How many statements something costs."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from storage.database import Database


@contextmanager
def statements(database: Database) -> Generator[list[str]]:
    """The statements that the application's sessions send meanwhile, in order."""
    sent: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:  # Any: what SQLAlchemy hands to a listener
        sent.append(statement)

    engine = database.engine("app").sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)
