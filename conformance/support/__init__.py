"""What tests of a topic have in common: hooks that leave marks, limits, hostile trees, callers at once."""
