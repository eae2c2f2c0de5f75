"""The time, in a form that is read back as the same instant."""

from datetime import UTC, datetime, timedelta

from clearhead.agents.toolbox.clock import clock


def test_both_are_the_same_instant_and_now() -> None:
    told = clock()
    utc, local = datetime.fromisoformat(told["utc"]), datetime.fromisoformat(told["local"])
    assert utc == local and utc.utcoffset() == timedelta(0) and local.utcoffset() is not None
    assert abs(datetime.now(UTC) - utc) < timedelta(minutes=10)
    assert told["weekday"] == local.strftime("%A")
