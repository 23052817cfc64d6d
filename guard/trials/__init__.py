"""The rules' own examples and tests, run through a gate: what is found, by which stage, and what a contract asks."""
