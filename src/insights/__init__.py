"""What the figures say: aged receivables and their totals. It reads the ledger and writes nothing."""
