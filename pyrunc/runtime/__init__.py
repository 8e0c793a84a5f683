"""The lifecycle verbs, one a file, over spec, plan, host and state.  Nothing here prints or exits."""
