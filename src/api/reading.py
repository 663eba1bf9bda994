"""The documents as pages: plain HTML, made from the OpenAPI document, with nothing fetched from elsewhere."""

from collections.abc import Mapping
from html import escape
from typing import Any, Final, cast

from kernel.errors import AppError

Json = Mapping[str, Any]  # Any: JSON
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><meta name="viewport" content="width=device-width">
<style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1c1e}}
h1,h2{{line-height:1.2}} code{{background:#f2f2f4;padding:.1em .3em;border-radius:3px}}
table{{border-collapse:collapse;width:100%}} td{{border-top:1px solid #ddd;padding:.4rem .6rem;vertical-align:top}}
a{{color:#0b57d0}}
</style></head><body>{body}</body></html>
"""


def operations(document: Json) -> str:
    """Every operation, by tag."""
    by_tag: dict[str, list[str]] = {}
    for path, methods in cast("dict[str, dict[str, Json]]", document["paths"]).items():
        for method, operation in methods.items():
            for tag in cast("list[str]", operation["tags"]) or ["Other"]:
                by_tag.setdefault(tag, []).append(_row(path, method, operation))
    parts = [
        "<h1>Relance API</h1>",
        f"<p>{escape(str(document['info']['description']))}</p>",
        '<p><a href="/openapi.json">OpenAPI 3.1 document</a> · <a href="/docs/problems">Problem codes</a></p>',
    ]
    parts += [f"<h2>{escape(tag)}</h2><table>{''.join(rows)}</table>" for tag, rows in sorted(by_tag.items())]
    parts.append("<h2>Events</h2><table>")
    for kind, item in cast("dict[str, Json]", document["webhooks"]).items():
        parts.append(f"<tr><td><code>{escape(kind)}</code></td><td>{escape(str(item['post']['summary']))}</td></tr>")
    parts.append("</table>")
    return _page("Relance API", "".join(parts))


def problem_list(catalogue: Mapping[str, type[AppError]]) -> str:
    """Every code."""
    rows = [
        f'<tr><td>{error.status}</td><td><a href="/docs/problems/{code}"><code>{code}</code></a></td>'
        f"<td>{escape(error.title())}</td></tr>"
        for code, error in catalogue.items()
    ]
    return _page("Problem codes", f"<h1>Problem codes</h1><table>{''.join(rows)}</table>")


def problem(error: type[AppError]) -> str:
    """One code: what happened and what to do."""
    body = (
        f"<h1>{escape(error.title())}</h1><p>Code <code>{escape(error.code)}</code>, status {error.status}.</p>"
        f"<h2>What to do</h2><p>{escape(error.remedy)}</p>"
        '<p><a href="/docs/problems">All problem codes</a></p>'
    )
    return _page(error.code, body)


def _row(path: str, method: str, operation: Json) -> str:
    scopes = [scope for one in cast("list[dict[str, list[str]]]", operation["security"]) for scope in one["apiKey"]]
    asked = f" <small>{escape(', '.join(scopes))}</small>" if scopes else ""
    return (
        f"<tr><td><code>{method.upper()} {escape(path)}</code></td>"
        f"<td>{escape(str(operation['description']))}{asked}</td></tr>"
    )


def _page(title: str, body: str) -> str:
    return _PAGE.format(title=escape(title), body=body)
