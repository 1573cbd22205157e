"""Sessions, streams and throttles: each rule of talking to somebody else's server is written once, here.

throttle (spend before you ask), http (a time-out on a read is Retry, on a write Reconcile), stream (reconnect, say hello
again, tell the reader to take a new snapshot), books (any venue's books over one line, sound or stale), clock (the one place that reads the machine's time for them).
"""
