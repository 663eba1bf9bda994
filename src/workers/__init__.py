"""The loops that work off the queues, and the arq worker that only listens for the doorbell. No business rule."""
