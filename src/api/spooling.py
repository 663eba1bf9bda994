"""A body that is a file: taken in piece by piece, beside memory, before anything is opened for it.

No transaction waits for a slow client. The scratch file has no name, and is gone with the request or the process.
"""

import asyncio
import hashlib
import tempfile
import time
from typing import IO, Final, cast

from litestar.types import HTTPReceiveMessage, Receive

from kernel.errors import AppError, Malformed

IN_MEMORY: Final = 1024 * 1024
MIN_RATE: Final = 32 * 1024  # bytes a second, once the first half minute is over


class Spool:
    """The file, how large it is, and its digest."""

    def __init__(self) -> None:
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed with the request
        self.size = 0
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> bytes:
        """The digest of what has been taken in."""
        return self._digest.digest()

    async def take(self, receive: Receive, *, limit: int, too_large: type[AppError], timeout_s: float) -> None:
        """Take a whole body in. Raises `too_large`, and Malformed for one that does not arrive in time."""
        began = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(timeout_s):
                    message = cast("HTTPReceiveMessage", await receive())
            except TimeoutError:
                raise Malformed("The body did not arrive in time.") from None
            if message["type"] == "http.disconnect":
                raise Malformed("The body did not arrive.")
            part: bytes = message["body"]
            self.size += len(part)
            if self.size > limit:
                raise too_large
            self._digest.update(part)
            self.file.write(part)
            if not message.get("more_body", False):
                self.file.seek(0)
                return
            took = time.monotonic() - began
            if took > timeout_s and self.size < (took - timeout_s) * MIN_RATE:
                raise Malformed("The body did not arrive in time.")

    def close(self) -> None:
        """Let the file go."""
        self.file.close()
