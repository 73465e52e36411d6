"""Benchmarks: liushui against peers that do the same work, as ratios within one run. How to read them: README.md."""
