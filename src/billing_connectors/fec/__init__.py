"""The French accounting entries file (FEC, LPF art. A47 A-1): receivables out of a year's books.

`parsing` reads the file, `pieces` (pure) finds the invoices, credit notes and receipts in its entries and which of them
the lettering sets off, `bringing` brings them in, `balances` compares what the tenant then has with the books.
"""
