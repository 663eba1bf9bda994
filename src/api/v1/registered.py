"""Every resource of version 1, in the order of the documentation."""

from typing import Final

from litestar import Controller

from api.portal.unsubscribing import Unsubscribing
from api.v1.aged_receivables import AgedReceivables
from api.v1.allocations import Allocations
from api.v1.api_keys import ApiKeys
from api.v1.balances import DebtorLedger, InvoiceLedger, LedgerEntries
from api.v1.bank_accounts import BankAccounts
from api.v1.charges import Charges
from api.v1.conflicts import Conflicts
from api.v1.contacts import Contacts
from api.v1.credit_notes import CreditNotes
from api.v1.creditors import Creditors
from api.v1.debtor_merges import DebtorMatches, DebtorMatching, DebtorMerges
from api.v1.debtors import Debtors
from api.v1.deliveries import Deliveries
from api.v1.dunning import Courses, InvoiceDunning, Notices
from api.v1.events import Events
from api.v1.handlings import Handlings
from api.v1.holds import Holds
from api.v1.import_mappings import ImportMappings
from api.v1.imports import Imports
from api.v1.intakes import DocumentsIn, Inboxes, Intakes
from api.v1.invoices import Invoices
from api.v1.jobs import Jobs
from api.v1.messages import Mails, Messages, OptOuts
from api.v1.policies import Policies
from api.v1.pushing import Pushing
from api.v1.receipts import Receipts
from api.v1.statements import Statements
from api.v1.tasks import Tasks
from api.v1.tenant import TenantController
from api.v1.test_clocks import Clocks
from api.v1.uploads import Uploads
from api.v1.webhook_endpoints import WebhookEndpoints
from api.v1.write_offs import WriteOffs

RESOURCES: Final[list[type[Controller]]] = [
    TenantController,
    ApiKeys,
    Events,
    Jobs,
    Clocks,
    Creditors,
    BankAccounts,
    Debtors,
    DebtorMerges,
    DebtorMatches,
    DebtorMatching,
    Contacts,
    DocumentsIn,
    Inboxes,
    Intakes,
    Invoices,
    CreditNotes,
    Receipts,
    Allocations,
    Pushing,
    Uploads,
    ImportMappings,
    Imports,
    WriteOffs,
    Charges,
    InvoiceLedger,
    DebtorLedger,
    LedgerEntries,
    AgedReceivables,
    Statements,
    Holds,
    Handlings,
    Tasks,
    Conflicts,
    Policies,
    InvoiceDunning,
    Courses,
    Notices,
    Messages,
    OptOuts,
    Mails,
    WebhookEndpoints,
    Deliveries,
    Unsubscribing,
]
