"""Payment terms: a small grammar, the days that follow from it, and what free text says of them where it is plain.

"45 jours fin de mois" has two admitted readings (reference: legal, section 4), which may lie two weeks apart in
either direction; nothing here chooses between them: whoever knows the contract states `eom_reading`.
"""
