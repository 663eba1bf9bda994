"""The money of the books: receipts, what the lettering has them settle, and what went back."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct, field
from sqlalchemy import Row, select, text

from billing_connectors.batches import Batch, Item
from billing_connectors.debtors import bring_debtors
from billing_connectors.documents.report import Status
from billing_connectors.fec.carrying import debtors_of, known_before
from billing_connectors.fec.documents import document_of
from billing_connectors.fec.lettering import Piece, Settled
from billing_connectors.fec.parsing import Books
from billing_connectors.fec.pieces import Found
from billing_connectors.merging import BOOKS
from billing_connectors.references import room_for
from kernel import ids
from kernel.errors import AppError
from receivables import access, links
from receivables.allocations import allocate_credit_note, allocate_receipt
from receivables.credit_notes import update_credit_note
from receivables.drafts import CreditNoteChange, NewReceipt, NewReversal, Share
from receivables.links import Link
from receivables.locks import lock_debtors
from receivables.models import CreditNote, DocumentState, Invoice, Receipt, ReceiptState
from receivables.receipts import record_receipt, reverse
from receivables.rules import MAX_REFERENCE
from storage.session import tenant_of

MAX_RECEIPTS: Final = 50_000  # of a chunk's debtors that may be the same money
RETURNED: Final = "returned_in_books"
SAME_MONEY: Final = timedelta(days=5)  # between the bank's day and the books'
_LINK: Final = "receipt"
_RETURN: Final = "return"


class Outcome(Struct):
    """What became of one piece."""

    status: Status = "unchanged"
    reason: str | None = None
    warnings: list[str] = field(default_factory=list[str])


class Job(Struct, frozen=True, kw_only=True):
    """One chunk: the pieces of whole debtors, and the documents that they are by now."""

    creditor_id: UUID
    books: Books
    found: Found
    places: Sequence[int]
    objects: Mapping[int, UUID]  # invoices and credit notes, by the places of their pieces


async def bring_money(batch: Batch, job: Job) -> dict[int, Outcome]:
    """Record the receipts of a chunk, settle what its lettering settles; answers what changed, by place."""
    till = _Till(batch, job)
    await till.open()
    await till.receive()
    await till.settle_notes()
    await till.give_back()
    return till.outcomes


class _Till:
    """The money of one chunk, in one transaction."""

    def __init__(self, batch: Batch, job: Job) -> None:
        self._batch, self._job = batch, job
        self._session, self._pieces = batch.session, job.found.pieces
        mine = set(job.places)
        self._settled: dict[int, list[Settled]] = {}
        for one in job.found.settled:
            if one.source in mine:
                self._settled.setdefault(one.source, []).append(one)
        self._receipts: dict[int, UUID] = {}
        self._debtors: dict[str, UUID] = {}
        self._done: dict[tuple[UUID, UUID], int] = {}
        self._invoices: dict[UUID, Invoice] = {}
        self.outcomes: dict[int, Outcome] = {}

    def _of(self, *kinds: str) -> list[int]:
        return [place for place in self._job.places if self._pieces[place].kind in kinds]

    def _outcome(self, place: int) -> Outcome:
        return self.outcomes.setdefault(place, Outcome())

    async def open(self) -> None:
        """Find or make the debtors, lock them, and load what their documents are."""
        codes = {self._pieces[place].code for place in self._job.places}
        self._debtors = await debtors_of(self._session, self._job.creditor_id, codes)
        missing = {self._pieces[place].code: self._pieces[place] for place in reversed(self._of("receipt", "return"))}
        new = [
            Item(place=str(piece.place), document=document_of(piece, self._job.books), said=b"")
            for code, piece in missing.items()
            if code not in self._debtors
        ]
        if new:  # who has only paid so far
            for item in new:
                item.belong_to(self._job.creditor_id)
            await bring_debtors(Batch(self._session, self._batch.keys, self._batch.now, new), {})
            self._debtors = await debtors_of(self._session, self._job.creditor_id, codes)
        invoice_ids = [each for place, each in self._job.objects.items() if self._pieces[place].kind == "invoice"]
        await lock_debtors(self._session, set(self._debtors.values()))
        statement = select(Invoice).where(Invoice.tenant_id == tenant_of(self._session), Invoice.id.in_(invoice_ids))
        fresh = statement.execution_options(populate_existing=True)
        await self._session.flush()
        self._invoices = {row.id: row for row in await self._session.scalars(fresh)}  # bounded: by the chunk
        await lock_debtors(self._session, {row.debtor_id for row in self._invoices.values()})

    async def receive(self) -> None:
        """Record the receipts that are new, each with what it settles."""
        places = self._of("receipt")
        keys = _keys(self._pieces, places, self._job.creditor_id)
        known = await links.linked(self._session, BOOKS, _LINK, keys.values())
        self._receipts = {place: known[key].object_id for place, key in keys.items() if key in known}
        await self._recognise([place for place in places if place not in self._receipts])
        await self._load_done(self._receipts.values())
        made: list[Link] = []
        for place in places:
            piece, debtor_id = self._pieces[place], self._debtors.get(self._pieces[place].code)
            receipt_id = self._receipts.get(place)
            if receipt_id is not None:
                await self._allocate(place, receipt_id)
            elif debtor_id is None or "carried_total" in self._outcome(place).warnings:
                continue
            else:
                receipt_id = self._receipts[place] = await self._record(place, piece, debtor_id)
            made.append(Link(keys[place], receipt_id))
        await links.link(self._session, BOOKS, _LINK, [each for each in made if each.external_id not in known])

    async def _record(self, place: int, piece: Piece, debtor_id: UUID) -> UUID:
        shares = await self._shares(place, None, piece.amount_minor)
        new = NewReceipt(
            creditor_id=self._job.creditor_id,
            debtor_id=debtor_id,
            currency=piece.currency,
            amount_minor=piece.amount_minor,
            effective_on=piece.day,
            reference=piece.reference[:MAX_REFERENCE] or None,
            allocations=tuple(shares),
            source=BOOKS,
        )
        view = await record_receipt(self._session, new, self._batch.now)
        self._outcome(place).status = "imported"
        return ids.decode("rcp", view.id)

    async def _allocate(self, place: int, receipt_id: UUID) -> None:
        row = await self._session.get(Receipt, (tenant_of(self._session), receipt_id))
        if row is None or row.state is ReceiptState.REVERSED:
            return
        shares = await self._shares(place, receipt_id, row.unapplied_minor)
        if shares:
            await allocate_receipt(self._session, receipt_id, shares, self._batch.now)
            self._outcome(place).status = "updated"

    async def _shares(self, place: int, source_id: UUID | None, left_minor: int) -> list[Share]:
        """What a source is still to settle of each invoice that the lettering gives it."""
        shares: list[Share] = []
        for one in self._settled.get(place, ()):
            invoice = self._invoices.get(self._job.objects.get(one.target) or UUID(int=0))
            if invoice is None or invoice.document is not DocumentState.OPEN:
                continue
            done_minor = self._done.get((source_id, invoice.id), 0) if source_id is not None else 0
            wanted_minor = min(one.amount_minor - done_minor, left_minor)
            if wanted_minor <= 0:
                continue
            amount_minor = min(await room_for(self._batch, invoice, wanted_minor), invoice.balance_minor)
            if amount_minor < wanted_minor:
                self._outcome(place).warnings.append("lettering_differs")
            if amount_minor > 0:
                shares.append(Share(amount_minor=amount_minor, invoice_id=invoice.id))
                left_minor -= amount_minor
                self._outcome(one.target).status = "updated"
        return shares

    async def _recognise(self, places: Sequence[int]) -> None:
        """Receipts that are known by another name: carried over from last year, or told by the bank before."""
        if not places:
            return
        rows = await self._same_money(places)
        known = await known_before(
            self._session, self._job.creditor_id, set(self._debtors.values()), self._job.books.begins_on
        )
        taken = set(self._receipts.values())
        for place in places:
            piece = self._pieces[place]
            fitting = [
                row
                for row in rows.get((self._debtors.get(piece.code), piece.currency), ())
                if row.id not in taken and _is_same(piece, row, self._job.books.begins_on)
            ]
            if fitting:
                best = min(
                    fitting, key=lambda row: (piece.piece not in (row.reference or ""), row.effective_on, row.id)
                )
                taken.add(best.id)
                self._receipts[place] = best.id
            elif piece.carried and not piece.piece and self._debtors.get(piece.code) in known:
                self._outcome(place).warnings.append("carried_total")

    async def _same_money(self, places: Sequence[int]) -> dict[tuple[UUID | None, str], list[Row[tuple[object, ...]]]]:
        values = {
            "tenant_id": tenant_of(self._session),
            "creditor_id": self._job.creditor_id,
            "debtors": list(self._debtors.values()),
            "amounts": [self._pieces[place].amount_minor for place in places],
            "rows": MAX_RECEIPTS,
        }
        found: dict[tuple[UUID | None, str], list[Row[tuple[object, ...]]]] = {}
        for row in await self._session.execute(_SAME_MONEY, values):
            found.setdefault((row.debtor_id, row.currency), []).append(row)
        return found

    async def _load_done(self, source_ids: Iterable[UUID]) -> None:
        values = {"tenant_id": tenant_of(self._session), "sources": list(source_ids)}
        for row in await self._session.execute(_DONE, values):
            self._done[row.source_id, row.invoice_id] = int(row.amount_minor)

    async def settle_notes(self) -> None:
        """Let credit notes settle what the lettering gives them."""
        places = [place for place in self._of("credit_note") if place in self._settled and place in self._job.objects]
        await self._load_done([self._job.objects[place] for place in places])
        for place in places:
            note_id = self._job.objects[place]
            row = await self._session.get(CreditNote, (tenant_of(self._session), note_id))
            if row is None or row.document is not DocumentState.OPEN:
                continue
            shares = await self._shares(place, note_id, row.remaining_minor)
            if shares:
                await allocate_credit_note(self._session, note_id, shares, self._batch.now)
                self._outcome(place).status = "updated"

    async def give_back(self) -> None:
        """Reverse the receipts that bounced, use up the credit notes that were paid out."""
        places = [place for place in self._of("return") if self._settled.get(place)]
        keys = _keys(self._pieces, places, self._job.creditor_id)
        known = await links.linked(self._session, BOOKS, _RETURN, keys.values())
        made: list[Link] = []
        for place in places:
            if keys[place] in known:
                continue
            target = self._settled[place][0].target
            object_id = self._receipts.get(target) or self._job.objects.get(target)
            if object_id is None:
                continue
            try:
                await self._give_back(place, target, object_id)
            except AppError as error:
                self._outcome(place).warnings.append(error.code)
                continue
            self._outcome(place).status = "imported"
            self._outcome(target).status = "updated"
            made.append(Link(keys[place], object_id))
        await links.link(self._session, BOOKS, _RETURN, made)

    async def _give_back(self, place: int, target: int, object_id: UUID) -> None:
        piece = self._pieces[place]
        if self._pieces[target].kind == "receipt":
            row = await access.receipt(self._session, object_id, lock=True)
            if row.state is not ReceiptState.REVERSED:
                why = NewReversal(reason=RETURNED, effective_on=piece.day)
                await reverse(self._session, object_id, why, self._batch.now)
            return
        note = await access.credit_note(self._session, object_id, lock=True)
        used_minor = note.used_minor + min(piece.amount_minor, note.remaining_minor)
        await update_credit_note(self._session, object_id, CreditNoteChange(used_minor=used_minor), self._batch.now)


def _is_same(piece: Piece, row: Row[tuple[object, ...]], begins_on: date) -> bool:
    if piece.carried:
        return bool(row.effective_on < begins_on and piece.amount_minor in {row.amount_minor, row.unapplied_minor})
    return bool(
        not row.is_booked and row.amount_minor == piece.amount_minor and abs(row.effective_on - piece.day) <= SAME_MONEY
    )


def _keys(pieces: Sequence[Piece], places: Iterable[int], creditor_id: UUID) -> dict[int, str]:
    """A name for each movement of money that is the same in every export of these books, and of next year's."""
    counts: dict[str, int] = {}
    keys: dict[int, str] = {}
    for place in places:
        piece = pieces[place]
        name = f"{creditor_id}/{piece.code}/{piece.piece_on}/{piece.currency}{piece.amount_minor}/{piece.piece}"
        counts[name] = counts.get(name, 0) + 1
        keys[place] = f"{name}/{counts[name]}"
    return keys


_SAME_MONEY: Final = text("""
select r.id, r.debtor_id, r.currency, r.amount_minor, r.unapplied_minor, r.effective_on, r.reference,
       exists (select 1 from app.source_link l where l.tenant_id = r.tenant_id and l.object_id = r.id
                 and l.source = 'fec') as is_booked
from app.receipt r
where r.tenant_id = :tenant_id and r.creditor_id = :creditor_id and r.debtor_id = any(cast(:debtors as uuid[]))
  and r.state <> 'reversed'
  and (r.amount_minor = any(cast(:amounts as bigint[])) or r.unapplied_minor = any(cast(:amounts as bigint[])))
order by r.effective_on, r.id limit :rows
""")
_DONE: Final = text("""
select coalesce(a.receipt_id, a.credit_note_id) as source_id, a.invoice_id, sum(a.amount_minor) as amount_minor
from app.allocation a
where a.tenant_id = :tenant_id
  and (a.receipt_id = any(cast(:sources as uuid[])) or a.credit_note_id = any(cast(:sources as uuid[])))
group by 1, 2
""")  # bounded: by what the sources have settled
