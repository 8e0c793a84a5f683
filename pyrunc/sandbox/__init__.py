"""The Python sandbox: from keyword arguments to a container that runs programs.  ``pyrunc`` names what is public."""
