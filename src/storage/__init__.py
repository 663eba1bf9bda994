"""How Relance keeps and moves its truth: sessions bound to a tenant, events, reactions, queues, clocks, encryption.

It knows no domain noun beyond the routing ids that an event carries. Nothing else opens a connection or commits.
"""
