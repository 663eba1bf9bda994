"""The words that every part shares: ids, money, days, text, failures. Pure: no I/O, no database, no clock but one."""
