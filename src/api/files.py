"""Answers that are files: which form a caller asked for, and how it is handed over."""

from typing import Annotated, Final, Literal
from urllib.parse import quote

from litestar import Response
from litestar.params import QueryParameter

from api.exchange import Exchange

JSON: Final = "application/json"
CSV: Final = "text/csv"
PDF: Final = "application/pdf"
_BY_FORMAT: Final = {"json": JSON, "csv": CSV, "pdf": PDF}

Language = Annotated[
    Literal["en", "fr"], QueryParameter(name="language", description="Of a file; JSON has no language.")
]


def wants(exchange: Exchange, format_: str | None) -> str:
    """The media type of the answer: by the parameter, else by the Accept header, else JSON."""
    return exchange.media if format_ is None else _BY_FORMAT[format_]


def file_of(media_type: str, content: bytes, name: str) -> Response[bytes]:
    """Hand a file over. It is saved and not shown, so that nothing in it is run in the place of the API."""
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
    headers = {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(content, media_type=media_type, headers=headers)


def accepted(accept: str, offered: tuple[str, ...]) -> str | None:
    """The best of what is offered that a header admits (RFC 9110 section 12.5.1); the first where all are equal."""
    ranges = [_range(part) for part in accept.split(",") if part.strip()]
    if not ranges:
        return offered[0]
    scored = [(max((_score(kind, wanted, q) for wanted, q in ranges), default=(0.0, 0)), kind) for kind in offered]
    best = max(score for score, _ in scored)
    return next(kind for score, kind in scored if score == best) if best[0] > 0 else None


def _range(part: str) -> tuple[str, float]:
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return kind, min(max(float(value), 0.0), 1.0)
            except ValueError:
                return kind, 0.0
    return kind, 1.0


def _score(kind: str, wanted: str, q: float) -> tuple[float, int]:
    if wanted == kind:
        return q, 2
    if wanted == f"{kind.partition('/')[0]}/*":
        return q, 1
    return (q, 0) if wanted == "*/*" else (0.0, 0)
