"""The ledger: the append-only record of what red teaming found, in a file that git keeps, and its replay."""
