"""The HTTP surface: authentication, transactions, problems, idempotency, paging, OpenAPI, and one module a resource.

It holds no business rule: a handler reads its input, calls one verb of a package and answers that package's view.
"""
