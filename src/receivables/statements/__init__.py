"""Statements of account: what a debtor owed, every movement of a period, what it owes now; as data, PDF or CSV."""
