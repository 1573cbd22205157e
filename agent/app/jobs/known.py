"""Every job there is: those of the settings and those added by command, checked alike."""

from __future__ import annotations

import json

from pydantic import ValidationError

from agent.app.job_checks import job_problems
from agent.app.jobs.store import JobStore, StoredJob
from agent.app.settings_jobs import HedgeJob, Timing
from agent.app.settings_tree import Job, Settings
from agent.domain.errors import Usage

TABLES: dict[str, type[Timing]] = {"jobs": Job, "hedges": HedgeJob}


def in_settings(settings: Settings) -> tuple[Timing, ...]:
    return (*settings.jobs, *settings.hedges)


def all_jobs(settings: Settings, store: JobStore) -> tuple[Timing, ...]:
    """The settings' first. Raises Usage BAD_JOB for a stored one that no longer fits the settings, and Retry JOBS_STORE."""
    mine = in_settings(settings)
    names = {job.name for job in mine}
    return (*mine, *(parsed(settings, one) for one in store.jobs() if one.name not in names))


def parsed(settings: Settings, stored: StoredJob) -> Timing:
    """Raises Usage BAD_JOB naming every problem."""
    try:
        job = TABLES[stored.table].model_validate(json.loads(stored.body))
    except ValidationError as wrong:
        said = "; ".join(_said(error) for error in wrong.errors(include_url=False))
        raise Usage(
            "BAD_JOB", f"job {stored.name}: {said}", "`fairlead config explain jobs` tells the keys"
        ) from None
    problems = list(job_problems(settings, job, stored.name))
    if problems:
        said = "; ".join(f"{where.partition('.')[2]}: {message}" for where, message, _ in problems)
        raise Usage("BAD_JOB", f"job {stored.name}: {said}", problems[0][2])
    return job


def stored(job: Timing, added_ns: int) -> StoredJob:
    table = next(name for name, kind in TABLES.items() if isinstance(job, kind))
    body = job.model_dump(mode="json", exclude_defaults=True)
    return StoredJob(job.name, table, json.dumps(body, sort_keys=True), added_ns)


def _said(error: object) -> str:
    found = dict(error) if isinstance(error, dict) else {}
    where = ".".join(str(part) for part in found.get("loc", ()))
    return f"{where}: {str(found.get('msg', '')).partition(chr(31))[0]}"
