"""Dates as people type them, to ISO 8601, in steps: year, month, day, answer.

The data set has three rules for what a date alone does not say. The day stands before the month, unless the second
number is above 12. A year of two digits is 1970 to 2069. What surrounds a date does not matter.
"""

import datetime
import random

from lines import write

MONTHS = {
    1: ("January", "Jan", "Jänner", "janvier", "I"),
    2: ("February", "Feb", "Februar", "février", "II", "Febuary"),
    3: ("March", "Mar", "März", "mars", "III"),
    4: ("April", "Apr", "April", "avril", "IV"),
    5: ("May", "May", "Mai", "mai", "V"),
    6: ("June", "Jun", "Juni", "juin", "VI"),
    7: ("July", "Jul", "Juli", "juillet", "VII"),
    8: ("August", "Aug", "August", "août", "VIII"),
    9: ("September", "Sep", "September", "septembre", "IX", "Sept"),
    10: ("October", "Oct", "Oktober", "octobre", "X"),
    11: ("November", "Nov", "November", "novembre", "XI"),
    12: ("December", "Dec", "Dezember", "décembre", "XII", "Decmber"),
}
FORMS = (  # Y four digits or two, y two digits, m and d without zeros, mm and dd with; M and B a month's names
    "{d}{th} of {B} {Y}", "{d}{th} {B} {Y}", "{B} {d}{th}, {Y}", "{B} {d}, {Y}", "{B} {d} {Y}", "{d} {B} {Y}",
    "{d}-{M}-{Y}", "{d} {M}. {Y}", "{M} {d} '{y}", "{d} {B} '{y}", "{d}{th} of {B} '{y}", "the {d}{th} of {B}, {Y}",
    "{d}/{m}/{Y}", "{dd}/{mm}/{Y}", "{d}.{m}.{Y}", "{dd}.{mm}.{y}", "{d}-{m}-{Y}", "{d}/{m}/{y}", "{d}. {m}. {Y}",
    "{year}-{mm}-{dd}", "{year}/{m}/{d}", "{year}{mm}{dd}", "{year}.{mm}.{dd}", "{year} {M} {d}", "{year}-{M}-{dd}",
    "{W} {d} {M} {Y}", "{W}, {d} {B} {Y}", "{W}, {B} {d}{th}, {Y}", "{W} {d}/{m}/{y}", "{W} the {d}{th} of {B} {Y}",
    "{d}. {german} {year}", "{d} {french} {year}", "le {d} {french} {year}", "{d}.{roman}.{year}", "{dd}{M}{Y}",
)  # fmt: skip
AMERICAN = ("{m}/{d}/{Y}", "{mm}/{dd}/{year}", "{m}-{d}-{Y}")  # only where the day is above 12, so it can be told
BEFORE = ("", "", "", "", "due ", "on ", "dated ", "Date: ", "rec'd ", "signed ", "as of ", "inv. 4417, ", "(")
AFTER = {"(": (")",), "": ("", "", "", "", ".", " at 14:30", ", 9am", " (est.)", " 00:00:00", " UTC", "?")}


def row(rng: random.Random) -> dict:
    date = datetime.date(1970, 1, 1) + datetime.timedelta(days=rng.randrange(100 * 365))
    names = MONTHS[date.month]
    forms = FORMS if date.day <= 12 else FORMS + AMERICAN
    written = rng.choice(forms).format(
        Y=rng.choice((f"{date.year}", f"{date.year}", f"{date.year % 100:02}")),
        year=date.year,
        y=f"{date.year % 100:02}",
        m=date.month,
        mm=f"{date.month:02}",
        d=date.day,
        dd=f"{date.day:02}",
        th=ordinal(date.day),
        M=names[1],
        B=rng.choice((names[0], names[0], names[1], names[-1] if len(names) > 5 else names[0])),
        german=names[2],
        french=names[3],
        roman=names[4],
        W=date.strftime(rng.choice(("%a", "%A"))),
    )
    written = rng.choice((str, str, str, str, str.lower, str.upper))(written)
    if rng.random() < 0.1:
        written = written.replace(" ", "  ", 1)
    before = rng.choice(BEFORE)
    after = rng.choice(AFTER["(" if before == "(" else ""])
    steps = [f"year {date.year}", f"month {date.month}", f"day {date.day}", date.isoformat()]
    return {"problem": before + written + after, "steps": steps, "answer": date.isoformat()}


def ordinal(day: int) -> str:
    return "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


if __name__ == "__main__":
    write(row)
