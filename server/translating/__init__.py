"""From one API to another: a file each, found by its `SOURCE` and `TARGET`."""
