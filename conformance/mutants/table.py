"""All mutants: one is in the table when its module has been imported."""

from __future__ import annotations

from conformance.mutants import answers, configs, hooks, resources, verbs
from conformance.mutants.mutant import CONTROL, MUTANTS, Mutant

__all__ = ["CONTROL", "MODULES", "MUTANTS", "Mutant"]

#: Where they are from.
MODULES = (answers, configs, hooks, resources, verbs)
