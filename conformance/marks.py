"""The words that stand above a test.

    @decides("runtime.create.id-in-use")            the statements (conformance/statements) that its verdict decides
    @needs("root", "controller-pids")               what it needs from the machine (needs.py), else it is skipped
    @optional("linux.namespaces", "time")           what the runtime may lack, as ``features`` says: then "unsupported"
    @since("1.1.0")                                 the version of the specification that brought what it tests: a
                                                    runtime whose ociVersionMax is lower is not asked

They stand for one case, too: ``pytest.param("proc", marks=decides("…"))``.
"""

from __future__ import annotations

import pytest


def decides(*statements: str) -> pytest.MarkDecorator:
    return pytest.mark.decides(*statements)


def needs(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.needs(*names)


def optional(path: str, *values: str) -> pytest.MarkDecorator:
    return pytest.mark.optional(path, *values)


def since(version: str) -> pytest.MarkDecorator:
    return pytest.mark.since(version)
