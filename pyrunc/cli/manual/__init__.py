"""The manual pages: made from the table of commands by the build, and by ``python -m pyrunc.cli.manual DIRECTORY``.

``page`` puts a page together, ``texts`` has what the table does not say, ``examples`` the commands that a test
runs, ``roff`` the language.  Nothing here is installed with the package: the build needs it, and it needs no library.
"""
