"""Documents that come in by themselves: sent over the API, by mail to an import address, or put into a folder.

An intake is what came at once: kept sealed first, read by a job after, its answer a report that can be read later. The
mail server itself is `messaging.intake`, which knows nothing of invoices.
"""
