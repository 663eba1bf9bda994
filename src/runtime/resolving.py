"""Names to addresses, on threads of our own.

The loop's own look-up shares four to six threads with everything else: a handful of hosts whose name servers are dead
would then delay every other call.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult


class Resolver(AbstractResolver):
    """getaddrinfo with a time limit; a name that takes longer is a name that does not resolve."""

    def __init__(self, *, threads: int, timeout_s: float) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="dns")
        self._timeout_s = timeout_s

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        ask = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
        asked = asyncio.get_running_loop().run_in_executor(self._threads, ask)
        try:
            found = await asyncio.wait_for(asked, self._timeout_s)
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, "the name servers did not answer in time") from None
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
