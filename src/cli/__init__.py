"""The `relance` command, the processes that it starts, settings read from the environment, the demo."""
