"""All mutants: one is in the table when its module has been imported."""

from __future__ import annotations

from conformance.mutants import answers, beyond, configs, descriptors, hooks, hostile, resources, verbs
from conformance.mutants.mutant import CONTROL, MUTANTS, PASSING, Mutant

__all__ = ["CONTROL", "MODULES", "MUTANTS", "PASSING", "Mutant"]

#: Where they are from.
MODULES = (answers, beyond, configs, descriptors, hooks, hostile, resources, verbs)
