"""Nothing is shared here but files: `speaking`, `reading`, `inside`."""
