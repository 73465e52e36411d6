"""What tests share, an outside provider's too: doubles, a clock that moves, golden pairs, servers beside a test."""
