"""A real PostgreSQL and a real Valkey on this machine, for whoever brings none.

`servers` starts, adopts and stops both under one data folder. No other user of the machine can connect:
the sockets lie in a folder that only the servers' user (and root) may enter, and every role has a random
password besides. It never listens on a port, and never runs a server as root.
"""
