"""Files of rows, up to a million: uploaded, looked at, mapped, tried, run, and taken back.

An upload is kept as sealed pieces; a confined process reads it row by row into canonical documents; a durable job
brings them in, a thousand a transaction, with its position in the same transaction. `billing_connectors.recording`
decides what a document means: this package knows files, rows, progress and what can be undone.
"""
