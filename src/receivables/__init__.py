"""What is owed, to whom, by whom, since when: creditors, debtors, invoices, credit notes, receipts, allocations.

Money facts are append-only and balances derive from them. It never decides whether to chase.
"""
