"""A run as data, saved ones as one, and what has changed between two."""
