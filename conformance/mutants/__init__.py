"""Runtimes that are wrong on purpose: each passes on what it is told to a real one, and breaks one rule.

``python -m conformance.mutants`` lists them; ``python -m conformance.mutants NAME RUNTIME ARGUMENT…`` is one of them.
They prove that the suite can fail: the verdict on the statement that a mutant breaks has to be the one that it names.
"""
