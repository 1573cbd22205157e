"""Fairlead's agent: from an intent to a settled, attributed order. Start at `agent/execution/spine.py`."""
