"""A mail server that only takes mail in, for addresses that somebody knows: it never sends anything back."""
