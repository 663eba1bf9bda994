"""What is said and how it travels: letters, templates, rendering, mail, channels, delivery outcomes, opt-outs, capture.

It turns facts that the gate let through into a message, hands it to a channel and records what came of it. It never
decides whom to write to, when, or about what: `dunning` does.
"""
