"""What is remembered of a container between two commands, and which command may follow which status."""
