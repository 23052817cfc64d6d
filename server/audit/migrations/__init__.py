"""The database's migrations; a file of `versions` is a step."""
