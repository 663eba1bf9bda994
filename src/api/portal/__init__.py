"""The debtor's pages: plain HTML, no script, no credential but the link itself."""
