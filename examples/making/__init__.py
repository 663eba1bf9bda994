"""What `make.py` makes the examples of."""
