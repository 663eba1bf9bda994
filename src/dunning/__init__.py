"""How and when debts are chased: policies, courses, notices, decisions with their trace, the gate, runs.

The decision is one pure function that serves the run, the gate, the preview and the explanation. It never talks to
a provider.
"""
