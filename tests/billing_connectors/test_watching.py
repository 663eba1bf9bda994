"""The watched folder: complete files only, done or refused, two watchers at once, killed at any step."""

import asyncio
import json
import sys
import time
from pathlib import Path

import pytest

from billing_connectors.importing import desk_of
from billing_connectors.watching import DONE, REFUSED, WORKING, Watcher
from support.documents import make_cii
from support.importing import Importer


def watcher(importer: Importer, folder: Path) -> Watcher:
    return Watcher(folder, desk_of(importer.database, importer.tenant_id, importer.reader))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


async def test_good_files_are_done_and_others_refused_with_the_reason(importer: Importer, tmp_path: Path) -> None:
    await importer.creditor()
    (tmp_path / "F-1.xml").write_bytes(make_cii(number="F-1"))
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.4 nothing")
    (tmp_path / "table.csv").write_text(
        "numero,date_facture,client,montant_ttc\nF-2,2026-03-01,Client,10.00\nF-3,soon,Client,10.00\n"
    )
    (tmp_path / "F-9.xml.part").write_bytes(b"<half")
    (tmp_path / ".hidden.xml").write_bytes(b"<a/>")
    (tmp_path / "link.xml").symlink_to(tmp_path / "F-1.xml")
    watch = watcher(importer, tmp_path)
    assert await watch.turn(0.0) == 0
    assert await watch.turn(1.0) == 0
    assert await watch.turn(2.0) == 3
    assert names(tmp_path / DONE) == ["F-1.xml", "table.csv", "table.csv.reason.json"]
    assert names(tmp_path / REFUSED) == ["letter.pdf", "letter.pdf.reason.json"]
    told = json.loads((tmp_path / REFUSED / "letter.pdf.reason.json").read_text())
    assert told["reason"] in {"unreadable", "no_structured_data"}
    rows = json.loads((tmp_path / DONE / "table.csv.reason.json").read_text())
    assert [(one["line"], one["verdict"]["reason"]) for one in rows["refused"]] == [(3, "bad_date")]
    assert names(tmp_path) == [".hidden.xml", "F-9.xml.part", "link.xml"] or "link.xml" not in names(tmp_path)
    assert await importer.rows("select number from app.invoice order by 1") == [("F-1",), ("F-2",)]


async def test_a_file_still_growing_waits(importer: Importer, tmp_path: Path) -> None:
    await importer.creditor()
    content = make_cii(number="F-1")
    watch = watcher(importer, tmp_path)
    (tmp_path / "F-1.xml").write_bytes(content[:100])
    await watch.turn(0.0)
    (tmp_path / "F-1.xml").write_bytes(content)
    assert await watch.turn(2.5) == 0
    assert await watch.turn(4.0) == 0
    assert await watch.turn(5.0) == 1
    assert names(tmp_path / DONE) == ["F-1.xml"]


async def test_two_watchers_take_each_file_once(importer: Importer, tmp_path: Path) -> None:
    await importer.creditor()
    for place in range(12):
        (tmp_path / f"F-{place}.xml").write_bytes(make_cii(number=f"F-{place}"))
    one, other = watcher(importer, tmp_path), watcher(importer, tmp_path)
    await one.turn(0.0)
    await other.turn(0.0)
    taken = await asyncio.gather(one.turn(3.0), other.turn(3.0))
    assert sum(taken) == 12
    assert len(names(tmp_path / DONE)) == 12
    assert names(tmp_path / WORKING) == []
    assert await importer.rows("select count(*) from app.invoice") == [(12,)]


async def test_what_a_dead_watcher_claimed_is_taken_up(importer: Importer, tmp_path: Path) -> None:
    await importer.creditor()
    watch = watcher(importer, tmp_path)
    (tmp_path / WORKING / "F-1.xml").write_bytes(make_cii(number="F-1"))  # claimed, and its watcher died
    (tmp_path / REFUSED / "F-2.xml.reason.json").write_text("{}")  # the report was written, and its watcher died
    (tmp_path / WORKING / "F-2.xml").write_bytes(b"<x/>")
    assert await watch.turn(0.0) == 2
    assert names(tmp_path / WORKING) == []
    assert names(tmp_path / DONE) == ["F-1.xml"]
    assert "F-2-2.xml" in names(tmp_path / REFUSED)


async def test_a_name_that_is_there_already_is_kept_apart(importer: Importer, tmp_path: Path) -> None:
    await importer.creditor()
    watch = watcher(importer, tmp_path)
    long = "é" * 120 + ".xml"
    for number in ("F-1", "F-2"):
        for name in ("facture.xml", long):
            (tmp_path / name).write_bytes(make_cii(number=f"{number}{len(name)}"))
        await watch.turn(0.0, settle_s=0)
    assert len(names(tmp_path / DONE)) == 4
    assert {"facture.xml", "facture-2.xml"} < set(names(tmp_path / DONE))


HOLDER = """
import fcntl, os, sys, time
descriptor = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


async def test_a_lock_ends_with_its_holder(importer: Importer, tmp_path: Path) -> None:
    await importer.creditor()
    watch = watcher(importer, tmp_path)
    path = tmp_path / WORKING / "F-1.xml"
    path.write_bytes(make_cii(number="F-1"))
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(path), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"held\n"
        assert await watch.turn(0.0) == 0
    finally:
        holder.kill()
        await holder.wait()
    assert await watch.turn(time.monotonic()) == 1
    assert names(tmp_path / DONE) == ["F-1.xml"]


@pytest.mark.parametrize("step", ["report", "file"])
async def test_dying_while_putting_away_loses_nothing(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await importer.creditor()
    watch = watcher(importer, tmp_path)
    (tmp_path / "bad.xml").write_bytes(b"<x/>")
    died = {"report": "replace", "file": "rename"}[step]
    original = getattr(Path, died)

    def die(self: Path, target: Path) -> Path:
        if self.parent.name == WORKING or step == "report":
            raise KeyboardInterrupt
        return original(self, target)

    monkeypatch.setattr(Path, died, die)
    with pytest.raises(KeyboardInterrupt):
        await watch.turn(0.0, settle_s=0)
    monkeypatch.undo()
    assert await watcher(importer, tmp_path).turn(0.0) == 1
    refused = [name for name in names(tmp_path / REFUSED) if not name.endswith(".json") and not name.startswith(".")]
    assert len(refused) == 1
    assert f"{refused[0]}.reason.json" in names(tmp_path / REFUSED)
