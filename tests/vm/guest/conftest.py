"""Fixtures of the guest's tests."""

from __future__ import annotations

from tests.root.conftest import box, new_box, runtime, sleeper

__all__ = ["box", "new_box", "runtime", "sleeper"]
