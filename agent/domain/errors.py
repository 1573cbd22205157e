"""The four verbs, re-exported for the agent: see `chains.errors` for the tree and what each class tells the caller to do."""

from chains.errors import Denied, FairleadError, Halt, Reconcile, Reject, Retry, Usage

__all__ = ["Denied", "FairleadError", "Halt", "Reconcile", "Reject", "Retry", "Usage"]
