"""A candidate constitution beside the one in force: judged in the background, and rolled out to some keys."""
