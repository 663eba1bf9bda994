"""A few lines of HTTP client over the standard library, as a developer's first script would have."""

import json
import urllib.error
import urllib.request
from typing import Any, Final
from uuid import uuid4

TIMEOUT_S: Final = 30.0


class CallFailed(RuntimeError):
    """The API refused."""


class Client:
    """One API key."""

    def __init__(self, base: str, key: str) -> None:
        self._base, self._key = base, key

    def get(self, path: str) -> Any:  # Any: JSON
        """Read."""
        return self._call("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> Any:  # Any: JSON
        """Write, with an Idempotency-Key."""
        return self._call("POST", path, body)

    def every(self, path: str) -> list[Any]:  # Any: JSON
        """All pages of a list."""
        found: list[Any] = []  # Any: JSON
        cursor = ""
        for _ in range(1_000):
            page = self.get(f"{path}{'&' if '?' in path else '?'}limit=100{cursor}")
            found += page["data"]
            if not page["has_more"]:
                break
            cursor = f"&cursor={page['next_cursor']}"
        return found

    def _call(self, method: str, path: str, body: dict[str, Any] | None) -> Any:  # Any: JSON
        headers = {"Authorization": f"Bearer {self._key}", "Accept": "application/json"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers |= {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        request = urllib.request.Request(self._base + path, data, headers, method=method)  # noqa: S310 - our own server on the loopback
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise CallFailed(f"{method} {path}: {error.code} {error.read().decode()[:500]}") from error
