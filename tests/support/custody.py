"""The small custody world of `fairlead chaos custody`, under the name the tests know it by."""

from agent.app.chaos.custody.wallet import *  # noqa: F403
