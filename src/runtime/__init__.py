"""What a process runs on: the one outbound HTTP client with its SSRF guard, blobs, logs, metrics.

It knows no domain noun: who is called, what is stored and what is counted is decided above.
"""
