"""PURE.  A valid config and the host's facts become an ordered list of operations.

No I/O of any kind may happen here: every decision is tested with plain values and golden text.
"""
