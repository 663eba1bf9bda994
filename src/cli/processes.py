"""What every long-lived process does first: sockets enough, and a garbage collector that lets what stays alone."""

import gc
import resource
from typing import Final

FILES: Final = 65_536  # more than any process of ours holds: connections, mails and webhooks under way
COLLECT_AFTER: Final = (10_000, 10, 10)  # objects made and still there; then rounds before the next older ones


def raise_file_limit() -> None:
    """Allow as many open files as the machine lets us: the usual soft limit of 1,024 is for programs that `select`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def spare_collector() -> None:
    """Take what is loaded by now out of the garbage collector's rounds, and let those be rarer.

    The code of a process is hundreds of thousands of objects that never go; walking over them again and again took a
    third of the CPU of webhook deliveries. What we make for a request goes by its count of references.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
