"""What every table of the settings is: frozen, and unknown keys refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, validate_default=False)
