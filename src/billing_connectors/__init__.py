"""What comes in from accounting: e-invoices, CSV exports, later the tools themselves.

`documents` reads e-invoices and `csv_files` reads accounting exports, both into the same canonical
`Document`, without a database; importing turns documents into receivables. A vendor's words end
here: nothing above knows a Business Term, a column header or a provider's status.
"""
