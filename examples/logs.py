"""Lines of logs, in the formats of five programs, to one JSON object. There are no steps, the answer is all."""

import datetime
import json
import random

from lines import write

HOSTS = ("web-1", "web-2", "db-1", "db-2", "cache-1", "edge-7", "mail", "build-3")
PROGRAMS = ("nginx", "api", "worker", "cron", "billing", "auth", "search", "postgres")
LEVELS = {"debug": "DEBUG", "info": "INFO", "warning": "WARN", "error": "ERROR"}
EVENTS = (
    "connection reset", "timeout", "disk full", "login failed", "login ok", "cache miss", "retry", "job done",
    "slow query", "out of memory", "config reloaded", "queue empty", "certificate expires soon", "upload rejected",
)  # fmt: skip


def row(rng: random.Random) -> dict:
    time = datetime.datetime(2023, 1, 1) + datetime.timedelta(seconds=rng.randrange(3 * 365 * 86400))
    level, host, program, event = (rng.choice(sorted(names)) for names in (LEVELS, HOSTS, PROGRAMS, EVENTS))
    user = rng.choice(("", "", f"u{rng.randrange(1000)}"))
    ms = rng.choice((None, rng.randrange(10), rng.randrange(10_000)))
    pid = rng.randrange(100, 32_768)
    big, day = LEVELS[level], time.strftime("%Y-%m-%d")
    clock = time.strftime("%H:%M:%S")
    detail = (f" user={user}" if user else "") + ("" if ms is None else f" took {ms}ms")
    quoted = f'"{event}"' if " " in event else event
    match rng.randrange(5):
        case 0:
            line = f"{day} {clock},{rng.randrange(1000):03} {big} [{program}] {event}{detail} host={host}"
        case 1:
            fields = f"ts={day}T{clock}Z level={level} host={host} app={program} msg={quoted}"
            line = fields + (f" user={user}" if user else "") + ("" if ms is None else f" ms={ms}")
        case 2:
            line = f"<{rng.randrange(8, 192)}>1 {day}T{clock}Z {host} {program} {pid} - - {level}: {event}{detail}"
        case 3:
            line = f"[{time.strftime('%d/%b/%Y:%H:%M:%S')} +0000] {host} {program}[{pid}] {big}: {event}{detail}"
        case _:
            line = f"{time.strftime('%Y/%m/%d')} {clock} [{level}] {pid}#0: *{rng.randrange(1000)} {event}{detail}, "
            line += f"server: {host}, from: {program}"
    found = {"time": f"{day}T{clock}", "level": level, "host": host, "app": program, "event": event}
    found |= ({"user": user} if user else {}) | ({} if ms is None else {"ms": ms})
    return {"problem": line, "answer": json.dumps(found)}


if __name__ == "__main__":
    write(row)
