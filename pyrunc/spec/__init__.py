"""config.json: its text, its types, its rules.  Pure: nothing here looks at the machine."""
