"""What a process that reads strangers' files gives up: memory, files, time. Imports nothing that takes long."""

import resource
from typing import Final

MAX_OPEN_FILES: Final = 64  # the schemas are files


def confine(memory_bytes: int) -> None:
    """Give up what a reader does not need, for good."""
    for limit, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))


def allow_cpu(seconds: float) -> None:
    """End this process when it has worked for so much longer."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
