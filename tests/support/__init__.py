"""What several kinds of tests share: requirements, bundles, the probe, canaries, residue."""
