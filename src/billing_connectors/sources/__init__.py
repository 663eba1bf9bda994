"""Sources that are read again and again: the seam on which connectors to accounting tools stand.

Owns where the reading of each source stands, what it has said of each of its records, and how fresh that is.
"""
