"""`relance serve` and `relance worker` as processes of their own, against a database of the stage."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from bench.stage import Stage
from cli.supervising import CHILD

STOP_S: Final = 30.0
START_S: Final = 60.0


def environment(stage: Stage, name: str, **settings: str) -> dict[str, str]:
    """What such a process is told: the servers of the stage, and settings of the bench's own."""
    urls = stage.urls(name)
    own = {key: value for key, value in os.environ.items() if not key.startswith("RELANCE_")}
    return own | {
        CHILD: "1",  # it ends with us, by the pipe that it reads
        "RELANCE_DATABASE_URL": urls.app,
        "RELANCE_DISPATCHER_URL": urls.dispatcher or "",
        "RELANCE_PUMP_URL": urls.pump or "",
        "RELANCE_REDIS_URL": stage.running.redis_url,
        "RELANCE_KEY_FILE": str(stage.key_file),
        "RELANCE_LOG_FORM": "json",
        **settings,
    }


def start(command: str, told: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start `relance <command>`; what it logs is not ours to print."""
    program = [sys.executable, "-c", "from cli import main; main()", command]
    return subprocess.Popen(
        program, env=told, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, then make sure."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_S)


@contextmanager
def serving(stage: Stage, name: str) -> Generator[int]:
    """The HTTP API in a process of its own; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    process = start("serve", environment(stage, name, RELANCE_PORT=str(port)))
    try:
        _wait_until_ready(process, port)
        yield port
    finally:
        stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("relance serve does not answer") from None
            time.sleep(0.1)
