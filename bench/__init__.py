"""Benchmarks: liushui against peers that do the same work, as ratios within one run. See README.md."""
