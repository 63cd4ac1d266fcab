"""Variables of the transition window: when it is open, what watches it, how it ends."""

import os
from datetime import datetime
from typing import Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from credstore_pipeline.settings_files import read_secret_files

DEFAULT_CRON = "*/15 * * * *"


class WindowSettings(BaseSettings):
    """The part of the settings that schedules, sensors, cutover and rollback read."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", hide_input_in_errors=True, frozen=True)

    CREDSTORE_RESYNC_CRON: str = Field(
        DEFAULT_CRON, description="When `resync_schedule` launches a re-sync, as cron in UTC; read when the code loads."
    )
    CREDSTORE_RESYNC_ENABLED: bool = Field(
        False,
        description="Starts `resync_schedule` and `source_changed_sensor` with the daemon; else the UI does. Read when "
        "the code loads.",
    )
    CREDSTORE_WINDOW_START: datetime | None = Field(
        None, description="From when on schedule and sensor re-sync, ISO 8601 with an offset."
    )
    CREDSTORE_WINDOW_END: datetime | None = Field(
        None, description="Until when they do, ISO 8601 with an offset; `purge` waits for it."
    )
    CREDSTORE_SENSOR_MIN_S: float = Field(
        300.0, ge=0, description="Seconds between two runs that `source_changed_sensor` launches, at least."
    )
    CREDSTORE_MAX_DOWNTIME_S: float = Field(
        60.0, gt=0, description="Seconds for which `cutover` may keep the old store's writers waiting, by its estimate."
    )
    CREDSTORE_ROLLBACK_KEY: str | None = Field(
        None,
        repr=False,
        json_schema_extra={"secret": True},
        description="The key string that `rollback_export` seals with, the old application's (default: "
        "`NETRAVEN_ENCRYPTION_KEY`).",
    )
    CREDSTORE_ROLLBACK_FORMAT: Literal["envelope", "token", "plaintext"] = Field(
        "envelope",
        description="How `rollback_export` writes passwords: in the envelope `default`, as the bare token of the first "
        "versions, or in the clear, which its run config must confirm.",
    )
    CREDSTORE_FAILURE_COMMAND: str | None = Field(
        None, description="Started after each failed run, with ids and counts as JSON on its standard input."
    )
    CREDSTORE_FAILURE_WEBHOOK: str | None = Field(
        None,
        repr=False,
        json_schema_extra={"secret": True},
        description="A URL that the same JSON is posted to after each failed run.",
    )

    @field_validator("CREDSTORE_WINDOW_START", "CREDSTORE_WINDOW_END")
    @classmethod
    def _with_an_offset(cls, moment: datetime | None) -> datetime | None:
        if moment is not None and moment.tzinfo is None:
            raise ValueError("it has no offset; write 2026-01-31T22:00:00+00:00")
        return moment

    @field_validator("CREDSTORE_RESYNC_CRON")
    @classmethod
    def _a_cron_line(cls, line: str) -> str:
        # Imported here: whoever reads settings without schedules need not wait for it.
        import dagster as dg

        try:
            dg.ScheduleDefinition(name="asked", job_name="asked", cron_schedule=line)
        except dg.DagsterError:
            raise ValueError("it is no cron schedule, such as */15 * * * *") from None
        return line


def at_load() -> WindowSettings:
    """What schedules and sensors are defined by, which must not fail: with a wrong value, the defaults.

    Their ticks read all settings, and name what is wrong.
    """
    try:
        return WindowSettings()
    except ValidationError:
        return WindowSettings.model_construct()


def where_failures_go() -> tuple[str | None, str | None]:
    """The command and the web address that are told of failed runs, whatever else is wrong with the settings."""
    secrets, _ = read_secret_files(["CREDSTORE_FAILURE_WEBHOOK"], os.environ)
    command = os.environ.get("CREDSTORE_FAILURE_COMMAND") or None
    return command, secrets.get("CREDSTORE_FAILURE_WEBHOOK") or os.environ.get("CREDSTORE_FAILURE_WEBHOOK") or None
