"""Public helpers for tests, also for the tests of providers outside liushui: doubles, clocks, golden pairs, servers."""
