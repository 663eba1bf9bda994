"""Every resource of version 1, in the order of the documentation."""

from typing import Final

from litestar import Controller

from api.portal.unsubscribing import Unsubscribing
from api.v1.api_keys import ApiKeys
from api.v1.deliveries import Deliveries
from api.v1.dunning import Courses, InvoiceDunning, Notices
from api.v1.events import Events
from api.v1.jobs import Jobs
from api.v1.messages import Mails, Messages, OptOuts
from api.v1.policies import Policies
from api.v1.tenant import TenantController
from api.v1.test_clocks import Clocks
from api.v1.webhook_endpoints import WebhookEndpoints

RESOURCES: Final[list[type[Controller]]] = [
    TenantController,
    ApiKeys,
    Events,
    Jobs,
    Clocks,
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
