"""The test suite; a package only so that tests can import ``tests.support``."""
