"""What people read about rules, told once: `rule` makes a page of blocks, for docs/rules/ and for a terminal alike."""
