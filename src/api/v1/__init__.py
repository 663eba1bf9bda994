"""The resources of version 1: one module each. A new one is appended to RESOURCES in `api.v1.registered`."""
