"""The ten patterns that every guard of `server_latency.py` looks for, on the way in and out; ignoring case.

Needs nothing but the standard library: the peers' own Pythons read it.
"""

LITERALS = (
    "mix bleach with ammonia",
    "forge a prescription",
    "sell stolen card numbers",
    "poison the water supply",
    "hide the murder weapon",
)

REGEXES = (
    r"\bhow\s+to\s+(?:make|build)\s+a\s+bomb\b",
    r"\b\d{3}-\d{2}-\d{4}\b",
    r"\bignore\s+(?:all\s+)?previous\s+instructions\b",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"\bsteal\s+(?:his|her|their)\s+identity\b",
)
