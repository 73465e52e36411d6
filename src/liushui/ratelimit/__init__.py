"""Rate limits: when a call may be made, alone (pacing) or beside other processes (shared_limits)."""
