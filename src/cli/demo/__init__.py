"""The demo: two invented companies, real documents, 60 days played through real processes."""
