"""Everything that touches the host: probing it, spawning the init, cgroups, hooks, terminals, signals."""
