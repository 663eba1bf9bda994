"""Read Factur-X, CII and UBL invoices and credit notes into one canonical document.

`reading.read_document` decides by content and never by name; `confined` reads strangers' files in a
process with limits of its own; `report` says what an import answers about each document.
"""
