"""The rules of this project that no ready-made tool holds, and the steps of `make check`.

`python -m checks` reads the source and prints one line for each breach; `python -m checks.all` runs every step.
"""
