"""PURE.  What is asked of CRIU: its options as values, from the container and the caller's wishes to the bytes."""
