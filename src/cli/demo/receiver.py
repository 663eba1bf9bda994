"""A webhook receiver as a customer would write it: it verifies each call with `standardwebhooks`, not with our code."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from standardwebhooks import Webhook

MAX_BODY: Final = 1_000_000


class Receiver:
    """Listens on the loopback; counts what was verified, what was refused, and what came twice."""

    def __init__(self) -> None:
        self.verified: Counter[tuple[str, str]] = Counter()  # (whose endpoint, webhook-id)
        self.types: Counter[str] = Counter()
        self.refused = 0
        self._secrets: dict[str, Webhook] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, whose: str) -> str:
        """Where an endpoint of somebody's is to post."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hooks/{whose}"

    def trust(self, whose: str, secret: str) -> None:
        """The secret that was shown once when the endpoint was made."""
        self._secrets[whose] = Webhook(secret)

    @property
    def duplicates(self) -> int:
        """Webhooks that came more than once."""
        return sum(count - 1 for count in self.verified.values())

    def take(self, whose: str, headers: dict[str, str], body: bytes) -> int:
        """Judge one call; returns the HTTP status to answer."""
        webhook = self._secrets.get(whose)
        if webhook is None:
            return 503
        try:
            webhook.verify(body, headers)
            kind = str(json.loads(body)["type"])
        except Exception:  # noqa: BLE001 - the library raises several kinds; none of them is a verified call
            with self._lock:
                self.refused += 1
            return 400
        with self._lock:
            self.verified[whose, headers["webhook-id"]] += 1
            self.types[kind] += 1
        return 204

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_POST(self) -> None:
                length = min(int(self.headers.get("content-length", "0")), MAX_BODY)
                body = self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(receiver.take(self.path.rpartition("/")[2], headers, body))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name; Any: its own
                del format, args

        return Handler
