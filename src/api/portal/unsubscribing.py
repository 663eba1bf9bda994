"""Close a channel by the link of a message: a page that asks, and the one click of RFC 8058.

A GET changes nothing, since mail scanners open every link. The answer says the same for a link that was used before.
"""

from html import escape
from typing import Final

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.params import FromPath

from api.resources import Resources
from api.routes import PUBLIC
from messaging import opt_outs
from messaging.errors import LinkInvalid
from messaging.opt_outs import Link
from receivables.access import contact as contact_of
from receivables.errors import ContactNotFound
from storage.clocks import now_of
from storage.session import Cause

_PAGE: Final = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{title}</title><style>
:root {{ color-scheme: light dark; font: 17px/1.5 system-ui, sans-serif; }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: Canvas; color: CanvasText; }}
main {{ max-width: 34rem; padding: 2rem 1.5rem; }}
h1 {{ font-size: 1.35rem; margin: 0 0 .75rem; }}
button {{ font: inherit; padding: .7rem 1.2rem; border: 0; border-radius: .5rem; background: #1f5fd0; color: #fff; }}
button:focus-visible {{ outline: 3px solid #9cc0ff; }}
</style></head><body><main><h1>{title}</h1><p>{text}</p>{form}</main></body></html>
"""
_WORDS: Final = {
    "fr": (
        "Ne plus recevoir ces e-mails ?",
        "Vous ne recevrez plus de message à cette adresse au sujet de vos factures. Ce qui est dû le reste.",
        "Ne plus m’écrire ici",
        "C’est noté",
        "Aucun e-mail ne sera plus envoyé à cette adresse au sujet de vos factures.",
    ),
    "en": (
        "Stop these e-mails?",
        "You will get no more messages about your invoices at this address. What is due remains due.",
        "Stop writing to me here",
        "Done",
        "No more e-mails about your invoices will be sent to this address.",
    ),
}
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
}


class Unsubscribing(Controller):
    """The debtor's way to close a channel."""

    path = "/u"
    tags = ["Portal"]

    @get(
        "/{token:str}",
        operation_id="showUnsubscribePage",
        opt=PUBLIC,
        include_in_schema=False,  # a page for people, not an operation for programs
        media_type=MediaType.HTML,
    )
    async def show(self, resources: NamedDependency[Resources], token: FromPath[str]) -> Response[str]:
        """Ask before the channel is closed."""
        language = await _language(resources, _link(resources, token))
        title, text, button, _, __ = _WORDS[language]
        form = f'<form method="post" action="/u/{escape(token)}"><button>{escape(button)}</button></form>'
        return _page(language, title, text, form)

    @post(
        "/{token:str}",
        operation_id="unsubscribe",
        opt=PUBLIC,
        include_in_schema=False,
        status_code=200,
        media_type=MediaType.HTML,
    )
    async def close(self, resources: NamedDependency[Resources], token: FromPath[str]) -> Response[str]:
        """Close the channel; asked twice, it is closed once."""
        link = _link(resources, token)
        language = await _language(resources, link)
        cause = Cause(kind="debtor", id="unsubscribe_link")
        async with resources.database.tenant(link.tenant_id, cause) as session:
            contact = await contact_of(session, link.contact_id)
            await opt_outs.close(session, link.contact_id, link.channel, await now_of(session), contact.zone or "UTC")
        _, __, ___, title, text = _WORDS[language]
        return _page(language, title, text, "")


def _link(resources: Resources, token: str) -> Link:
    return opt_outs.read(resources.database.keys.provider.derive("unsubscribe"), token)


async def _language(resources: Resources, link: Link) -> str:
    """The contact's language where we speak it; raises LinkInvalid for a contact that is no more."""
    try:
        async with resources.database.tenant(link.tenant_id, Cause(kind="debtor", id="unsubscribe_link")) as session:
            contact = await contact_of(session, link.contact_id)
            language = contact.language or "fr"
    except ContactNotFound as error:
        raise LinkInvalid from error
    return language if language in _WORDS else "en"


def _page(language: str, title: str, text: str, form: str) -> Response[str]:
    html = _PAGE.format(lang=language, title=escape(title), text=escape(text), form=form)
    return Response(html, media_type=MediaType.HTML, headers=dict(_HEADERS))
