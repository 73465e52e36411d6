"""Public helpers for tests, including tests of providers outside liushui: doubles, clocks, golden pairs, servers."""
