"""What a container has changed: its layers compared with what lies below them, written as a tar, or applied elsewhere.

A layer was written by hostile code.  Everything here reaches it by descriptors, one name at a time and never through
a symlink; opens nothing but directories and regular files; and takes no depth, name or number of objects for
granted.  Not on the lean path.
"""
