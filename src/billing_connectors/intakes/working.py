"""The durable job that reads an intake; the readers are loaded when the first one comes, not with every worker."""

from billing_connectors.intakes.receiving import JOB
from storage.jobs import JobContext
from storage.registry import runs


@runs(JOB)
async def work(context: JobContext) -> None:
    """Bring the documents of an intake in."""
    from billing_connectors.intakes.reading import read_intake  # noqa: PLC0415 - a worker's start waits for no reader

    await read_intake(context)
