"""A process that imports is killed by SIGKILL, wherever it is just then; the next one goes on: each row counts once."""

import asyncio
import os
import random
import sys
from pathlib import Path
from uuid import UUID

import pytest

from kernel import ids
from storage.database import Urls
from storage.encryption import KeyProvider, LocalKeyProvider
from support.file_imports import Files, invoices

ROWS = 200
KILLS = 3


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "kek"


@pytest.fixture
def key_provider(key_file: Path) -> KeyProvider:
    return LocalKeyProvider(key_file)


async def test_a_process_that_is_killed_leaves_whole_batches(
    files: Files, database_urls: Urls, key_file: Path, tenant_id: UUID
) -> None:
    chance = random.Random(7)
    await files.creditor()
    import_id = await files.lay_out(invoices(ROWS, debtors=50))
    await files.ok("post", f"/v1/imports/{import_id}/run")
    arguments = (database_urls.app, str(key_file), str(tenant_id), str(ids.decode("imp", import_id)))
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    positions: list[int] = []
    for turn in range(KILLS + 1):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "support.import_process", *arguments,
            stdout=asyncio.subprocess.PIPE, env=os.environ | paths,
        )  # fmt: skip
        assert process.stdout is not None
        await process.stdout.readline()
        if turn < KILLS:
            wanted = (positions[-1] if positions else 0) + chance.randint(1, 50)
            while process.returncode is None and await read_rows(files, import_id) < wanted:
                pass  # each look is a request: it gives way
            if process.returncode is None:
                process.kill()
        await process.wait()
        positions.append(await read_rows(files, import_id))
        assert positions[-1] % 10 == 0
        assert await files.count("select count(*) from app.import_row") == positions[-1]
        assert await files.count("select count(*) from app.invoice") == positions[-1]
    assert positions == sorted(positions)
    assert positions[0] < ROWS == positions[-1]
    done = await files.ok("get", f"/v1/imports/{import_id}")
    assert (done["state"], done["rows"]["created"]) == ("done", ROWS)
    assert await files.count("select count(*) from app.event where type = 'invoice.opened'") == ROWS
    assert len({row[0] for row in await files.state()}) == ROWS


async def read_rows(files: Files, import_id: str) -> int:
    return int((await files.ok("get", f"/v1/imports/{import_id}"))["rows"]["read"])
