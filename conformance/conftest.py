"""``pytest conformance --runtime PATH``: everything that is pytest's of the suite is in its plugin."""

pytest_plugins = ["conformance.plugin"]
