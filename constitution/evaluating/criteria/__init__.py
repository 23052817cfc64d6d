"""The criteria, one file each, found by this folder: see `constitution.evaluating.criterion.Criterion` for what a file
offers. A file whose name begins with `_` is a helper of others."""
