"""Read the CSV that an accounting tool exports, row by row, into canonical documents.

A mapping says which column means what; `reading.read_csv` gives each row its document or the reason why it has none.
"""
