"""Completion of command lines in shells: one static script for each shell, made from the table of commands.

The scripts walk the words of the line as ``pyrunc.cli.lean`` does, and so know Go's spellings, which the shells' own
ways of describing options do not.  Of pyrunc itself they call ``list --quiet`` only, for the ids of containers: a
script that asked pyrunc about everything would start an interpreter at each TAB.
"""
