"""What time it is."""

from datetime import UTC, datetime


def clock() -> dict[str, str]:
    """The time now in UTC and here, and the day of the week here."""
    now = datetime.now(UTC)
    here = now.astimezone()
    return {"utc": _iso(now), "local": _iso(here), "weekday": here.strftime("%A")}


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
