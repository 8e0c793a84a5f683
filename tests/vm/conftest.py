"""The order of the tests: those that boot a machine take longest by far, so that other workers go on meanwhile."""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name != "test_vm.py")
