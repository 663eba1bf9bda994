"""Failures of HTTP itself, before any package is asked."""

from kernel.errors import AppError, Invalid, Malformed


class MethodNotAllowed(AppError):
    """The resource does not know this method."""

    status = 405
    code = "method_not_allowed"
    remedy = "Use a method that the Allow header names."


class NotAcceptable(AppError):
    """The answer is not to be had in a form that Accept admits."""

    status = 406
    code = "not_acceptable"
    remedy = "Accept application/json."


class BodyTooLarge(AppError):
    """The request body is larger than this operation takes."""

    status = 413
    code = "body_too_large"
    remedy = "Send less at once."


class UnsupportedMediaType(AppError):
    """The request body is not JSON."""

    status = 415
    code = "unsupported_media_type"
    remedy = "Send the body as application/json."


class RateLimited(AppError):
    """The key has made more requests than it may for the moment."""

    status = 429
    code = "rate_limited"
    remedy = "Wait as long as Retry-After says; the RateLimit header tells beforehand how much is left."

    def __init__(self, retry_after_s: int = 1) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class InternalError(AppError):
    """Something went wrong on our side."""

    status = 500
    code = "internal"
    remedy = "Try again later; if it stays, tell us the Request-Id header of this answer."


class Unavailable(AppError):
    """The service cannot answer right now."""

    status = 503
    code = "unavailable"
    remedy = "Try again after the time that Retry-After says; with an Idempotency-Key nothing happens twice."


class IdempotencyKeyMissing(Malformed):
    """This operation must come with an Idempotency-Key."""

    code = "idempotency_key_missing"
    remedy = "Send a new unique Idempotency-Key header with each new request, and the same one to repeat it."


class VersionUnknown(Malformed):
    """There is no such version of the API."""

    code = "version_unknown"
    remedy = "Send a Relance-Version that the documentation lists, or none to use the one that the key is pinned to."


class BodyNotTaken(Invalid):
    """This operation takes no body."""

    code = "body_not_taken"
    remedy = "Send no body, or an empty object."
