"""Benchmarks beside their references: ratios within one run, as JSON lines. `python -m bench [--quick] [NAME …]`."""
