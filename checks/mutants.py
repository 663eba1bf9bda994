"""`make mutants`: plant each known flaw in a copy, one at a time, and show which test turns red.

A flaw that no test notices fails the command: the guard named beside it has stopped guarding.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from msgspec import Struct

ROOT: Final = Path(__file__).resolve().parents[1]
TIMEOUT_S: Final = 300
COPIED: Final = ("src", "tests", "migrations", "docs", "examples", "openapi", "checks", "pyproject.toml")


class Mutant(Struct, frozen=True):
    """One line made wrong, and the test that must fail for it."""

    name: str
    file: str
    right: str
    wrong: str
    test: str


MUTANTS: Final = (
    Mutant(
        "the policy lets every tenant through", "src/storage/tenant_rls.py",
        'MINE: Final = "tenant_id = (select app.tenant_id())"', 'MINE: Final = "tenant_id is not null"',
        "tests/isolation/test_tables.py",
    ),
    Mutant(
        "a partition is granted to the application", "src/storage/partitions.py",
        "revoke all on app.{name} from", "grant select on app.{name} to", "tests/isolation/test_catalogue.py",
    ),
    Mutant(
        "the session may run unbound", "src/storage/session.py",
        "        raise TenantContextMissing\n", "        return\n", "tests/storage/test_database.py",
    ),
    Mutant(
        "the fence is ignored", "src/storage/queues.py",
        "on m.id = u.id and m.fence = u.fence", "on m.id = u.id", "tests/storage/test_queues.py",
    ),
    Mutant(
        "a claim does not skip what another holds", "src/storage/queues.py",
        "state = 'leased', lease_until = clock_timestamp() + :lease, fence = m.fence + 1",
        "state = m.state, lease_until = clock_timestamp() + :lease, fence = m.fence + 1",
        "tests/storage/test_queues.py",
    ),
    Mutant(
        "the debtor is not locked", "src/receivables/locks.py",
        "for no key update of d", "limit 1000000", "tests/receivables/test_locks.py",
    ),
    Mutant(
        "a ciphertext may be moved", "src/storage/encryption.py",
        'return f"{tenant_id}|{table}|{column}|{row_id}".encode()', 'return b"anywhere"',
        "tests/storage/test_encryption.py tests/storage/test_events.py",
    ),
    Mutant(
        "the gate does not look again", "src/dunning/gating.py",
        '            (next(iter(decision.codes), ""), decision.verdict is not Verdict.ACT),\n', "",
        "tests/stories/test_facts_in_between.py",
    ),
    Mutant(
        "unapplied cash is forgotten", "src/dunning/deciding.py",
        "return facts.unapplied_minor >= facts.balance_minor > 0", "return False", "tests/dunning/test_deciding.py",
    ),
    Mutant(
        "an old debt is chased at once", "src/dunning/rules.py",
        "return Entry(passed[-1], review=True)", "return Entry(passed[-1], review=False)",
        "tests/dunning/test_rules.py",
    ),
    Mutant(
        "a split loses what rounding leaves", "src/kernel/money.py",
        "extra = set(order[:left])", "extra = set[int]()", "tests/kernel/test_money.py",
    ),
    Mutant(
        "a webhook is signed without its time", "src/webhooks/signing.py",
        "(message_id.encode(), timestamp_s, body)", "(message_id.encode(), 0, body)", "tests/webhooks/test_signing.py",
    ),
)  # fmt: skip


def main() -> int:
    """Plant them all; returns how many went unnoticed."""
    unnoticed = 0
    with tempfile.TemporaryDirectory(prefix="relance-mutants-") as folder:
        copy = Path(folder) / "copy"
        for mutant in MUTANTS:
            noticed = _noticed(mutant, copy)
            unnoticed += not noticed
            sys.stdout.write(f"{'red  ' if noticed else 'GREEN'}  {mutant.name}  ({mutant.test})\n")
            sys.stdout.flush()
    return min(unnoticed, 1)


def _noticed(mutant: Mutant, copy: Path) -> bool:
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, copy / name)
    target = copy / mutant.file
    text = target.read_text("utf-8")
    if mutant.right not in text:
        raise SystemExit(f"{mutant.name}: the line to change is no longer in {mutant.file}")
    target.write_text(text.replace(mutant.right, mutant.wrong), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutant.test.split()]
    ended = subprocess.run(command, cwd=copy, capture_output=True, timeout=TIMEOUT_S, check=False)
    return ended.returncode == 1  # tests failed: anything else is no verdict


if __name__ == "__main__":
    sys.exit(main())
