"""Tells the systems of others what changed: endpoints, signing, delivery, retries, the event log.

It carries events and knows no domain noun in them; who may see an event is answered by a port.
"""
