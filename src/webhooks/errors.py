"""What a caller can do wrong with endpoints and deliveries."""

from kernel.errors import Conflict, Invalid, NotFound


class EndpointNotFound(NotFound):
    """There is no such object."""


class DeliveryNotFound(NotFound):
    """There is no such object."""


class EndpointInvalid(Invalid):
    """The endpoint cannot be kept as it was sent."""

    code = "webhook_endpoint_invalid"


class TooManyEndpoints(Conflict):
    """The tenant has as many webhook endpoints as it may have."""

    code = "too_many_webhook_endpoints"
    remedy = "Remove an endpoint that is no longer used."


class EndpointNotEnabled(Conflict):
    """The endpoint is disabled, so nothing is sent to it."""

    code = "webhook_endpoint_not_enabled"
    remedy = "Enable the endpoint first."


class EndpointNotDisabled(Conflict):
    """The endpoint is enabled already."""

    code = "webhook_endpoint_not_disabled"


class DeliveryUnderWay(Conflict):
    """The delivery is being made at this moment."""

    code = "delivery_under_way"
    remedy = "Wait for the attempt to end; read the delivery to see what came of it."


class SpanInvalid(Invalid):
    """The span of time ends before it begins, or is longer than deliveries are kept."""

    code = "span_invalid"
    remedy = "Give since before until, at most 90 days apart."
