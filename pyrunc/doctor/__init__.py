"""``pyrunc doctor``: looks at the machine, its user and its engines, and says what to do about what it finds.

Checks read, and start programs only to ask for their version; the last one makes a container and removes it.  A check
that needs a right which this user has not says so, and does not fail.  Nothing is left behind.
"""
