"""``./dev bench``: start-up against other runtimes, the bare interpreter and the kernel's floor."""
