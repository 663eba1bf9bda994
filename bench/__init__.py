"""Benchmarks beside their references: ratios within one run, one JSON object a line. `python -m bench [--quick] [NAME…]`."""
