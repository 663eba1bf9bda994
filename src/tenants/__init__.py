"""Who may act, for which company: accounts, live and sandbox tenants, API keys, `Caller`, test clocks, kill switches.

It never decides whether a debt is chased; it says whether a tenant may chase at all.
"""
