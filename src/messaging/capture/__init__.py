"""A mail server that delivers to nobody: where sandboxes send, and the independent ledger of the fault tests."""
