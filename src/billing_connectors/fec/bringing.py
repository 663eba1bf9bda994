"""Bring the receivables of a FEC in: documents by the same way as any other, then the money and what it settles."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import date
from typing import Final

import msgspec
from msgspec import Struct, structs
from sqlalchemy.exc import DBAPIError

from billing_connectors import recording
from billing_connectors.batches import Batch
from billing_connectors.desks import TRIES, Desk, Judged, Read, item_of, judgement, met_another, refusal
from billing_connectors.documents.canonical import Refusal, Rejected
from billing_connectors.documents.report import Verdict
from billing_connectors.fec.carrying import find_carried
from billing_connectors.fec.documents import document_of, seller_of_books
from billing_connectors.fec.lettering import Piece
from billing_connectors.fec.money import Job, Outcome, bring_money
from billing_connectors.fec.parsing import FORMAT, Books, read_fec
from billing_connectors.fec.pieces import Found, find_pieces
from billing_connectors.recording import Origin
from billing_connectors.sellers import Seller, load_creditors, seller_of
from receivables.errors import IdentifierTaken
from storage.clocks import now_of

CHUNK: Final = 500  # pieces in one transaction, whole debtors together
_DOCUMENTS: Final = frozenset({"invoice", "credit_note"})
_NOBODY: Final = Piece(
    kind="invoice", code="-", name="-", number="-", day=date(2000, 1, 1), piece_on=date(2000, 1, 1), currency="EUR"
)  # a document of the seller's, to ask whose books these are


async def import_fec(desk: Desk, name: str, content: bytes) -> AsyncGenerator[Judged]:
    """Import a FEC: one verdict for each invoice, credit note and movement of money, in the order of the file."""
    digest = hashlib.sha256(b"fec\0" + content).digest()
    origin = Origin(digest=digest, content=content, is_export=True)
    async with desk.open() as session:
        await recording.find_origin(session, origin)
        creditors = await load_creditors(session, desk.creditor_id)
    try:
        books = await asyncio.to_thread(read_fec, content, name, currency=creditors.currency or "EUR")
        found = await asyncio.to_thread(find_pieces, books)
    except Rejected as rejected:
        yield refusal(name, rejected.refusal)
        return
    seller = seller_of(document_of(_NOBODY, books), creditors)
    if seller.creditor_id is None:
        reason = seller.reason or "not_our_sale"
        yield refusal(
            name, Refusal(reason=reason, detail="the name of the file says whose books these are", format=FORMAT)
        )
        return
    verdicts: list[Judged] = []
    for places in _chunks(found):
        verdicts += await _bring_in(desk, name, origin, _Part(books, found, places, seller))
    async with desk.open() as session:
        await recording.finish(session, origin)
    for one in sorted(verdicts, key=lambda each: each.line or 0):
        yield one


class _Part(Struct, frozen=True):
    """Some debtors' pieces, which one transaction brings in."""

    books: Books
    found: Found
    places: Sequence[int]
    seller: Seller


def _chunks(found: Found) -> Iterator[list[int]]:
    """Places of pieces, whole debtors together: what settles what never crosses debtors."""
    by_code: dict[str, list[int]] = {}
    for place, piece in enumerate(found.pieces):
        by_code.setdefault(piece.code, []).append(place)
    chunk: list[int] = []
    for places in by_code.values():
        chunk += places
        if len(chunk) >= CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def _bring_in(desk: Desk, name: str, origin: Origin, part: _Part) -> list[Judged]:
    for attempt in range(1, TRIES + 1):
        before = structs.replace(origin)
        try:
            verdicts = await _bring_in_once(desk, name, before, part)
        except (IdentifierTaken, DBAPIError) as error:
            if attempt == TRIES or not met_another(error):
                raise
            continue
        origin.blob_id, origin.id, origin.was_taken = before.blob_id, before.id, before.was_taken
        return verdicts
    raise RuntimeError("the last attempt answers or raises")


async def _bring_in_once(desk: Desk, name: str, origin: Origin, part: _Part) -> list[Judged]:
    pieces, creditor_id = part.found.pieces, part.seller.creditor_id
    if creditor_id is None:
        raise RuntimeError("books are brought in for their creditor")
    async with desk.open() as session:
        await recording.serialise(session)
        creditors = await load_creditors(session, desk.creditor_id)
        if origin.was_read:
            return [_judged(name, pieces[place], Outcome(), part) for place in part.places]
        mine = {place: pieces[place] for place in part.places}
        carried = await find_carried(session, creditor_id, part.books, mine)
        items = {
            place: item_of(desk, _read(piece, part.books), creditors)
            for place, piece in mine.items()
            if piece.kind in _DOCUMENTS and place not in carried
        }
        batch = Batch(session, desk.keys, await now_of(session), list(items.values()))
        await recording.bring_in(batch, origin, desk.blobs)
        objects = {place: each.object_id for place, each in carried.items() if each.object_id is not None}
        objects |= {
            place: item.object_id
            for place, item in items.items()
            if item.object_id is not None and item.status in recording.ACCEPTED
        }
        job = Job(creditor_id=creditor_id, books=part.books, found=part.found, places=part.places, objects=objects)
        outcomes = await bring_money(batch, job)
        await recording.keep_origin(batch, origin, desk.blobs)
    verdicts: list[Judged] = []
    for place, piece in mine.items():
        outcome = outcomes.get(place) or Outcome()
        if place in carried:
            outcome.warnings += carried[place].warnings
        if place in items:
            verdicts.append(_with_money(judgement(name, items[place]), piece, outcome))
        else:
            verdicts.append(_judged(name, piece, outcome, part))
    return verdicts


def _with_money(one: Judged, piece: Piece, outcome: Outcome) -> Judged:
    """The verdict on a document, with what the lettering leaves of it."""
    status = outcome.status if one.verdict.status == "unchanged" else one.verdict.status
    warnings = list(dict.fromkeys([*(one.verdict.warnings or ()), *outcome.warnings]))
    verdict = structs.replace(one.verdict, status=status, amount_due_minor=piece.left_minor, warnings=warnings)
    return structs.replace(one, verdict=verdict)


def _read(piece: Piece, books: Books) -> Read:
    document = document_of(piece, books)
    return Read(str(piece.place), document, hashlib.sha256(msgspec.msgpack.encode(document)).digest())


def _judged(name: str, piece: Piece, outcome: Outcome, part: _Part) -> Judged:
    verdict = Verdict(
        file=name,
        status=outcome.status,
        reason=outcome.reason,
        kind=piece.kind,
        number=piece.number,
        issued_on=piece.day,
        due_on=None,
        due_on_source="none",
        due_on_computed=None,
        currency=piece.currency,
        total_minor=piece.amount_minor,
        amount_due_minor=piece.left_minor,
        seller_ids=list(seller_of_books(part.books).legal_ids),
        buyer_name=piece.name,
        warnings=list(dict.fromkeys([*part.books.warnings, *piece.warnings, *outcome.warnings])),
    )
    return Judged(verdict, piece.place)
