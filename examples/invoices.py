"""Lines of an invoice to the amount to pay: every line's amount, the subtotal, then a discount and VAT, to the cent."""

import random
from decimal import ROUND_HALF_UP, Decimal

from lines import write

PRICES = {
    "cable": "2.50", "HDMI cable": "7.90", "mouse": "12.00", "keyboard": "24.50", "webcam": "39.00", "paper": "4.20",
    "toner": "48.00", "pens": "0.80", "stapler": "6.50", "folder": "1.20", "lamp": "18.00", "chair": "75.00",
    "desk pad": "9.50", "USB stick": "5.40", "adapter": "8.00", "battery": "1.50", "label roll": "3.60", "hub": "15.00",
    "screen wipe": "0.60", "headset": "32.00", "notebook": "2.20", "marker": "1.10", "envelope": "0.20", "tape": "1.90",
}  # fmt: skip
FORMS = (
    "{n} x {item} @ {price}", "{n} {item} at {price}", "{n}× {item} {price} each", "{item} ({n} pcs, {price})",
    "{item}: {n} * {price}", "{n} pcs {item} à {price}",
)  # fmt: skip
PERCENT = {"VAT 20%": 20, "VAT 10%": 10, "+ 20% VAT": 20, "10% off": -10}
TERMS = ((), ("VAT 20%",), ("VAT 10%",), ("+ 20% VAT",), ("10% off",), ("10% off", "VAT 20%"), ("less 5.00",))


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def row(rng: random.Random) -> dict:
    form, euro = rng.choice(FORMS), rng.choice(("", "", "€"))
    lines, steps, amounts = [], [], []
    for item in rng.sample(sorted(PRICES), rng.choice((1, 2, 2, 3))):
        n, price = rng.randint(1, 12), Decimal(PRICES[item])
        if rng.random() < 0.15:
            price = cents(price * Decimal(rng.choice(("0.9", "1.1", "0.5"))))  # an old price, or a special one
        lines.append(form.format(n=n, item=item, price=f"{euro}{price}"))
        amounts.append(n * price)
        steps.append(f"{n} × {price} = {n * price}")
    total = sum(amounts, Decimal())
    if len(amounts) > 1:
        steps.append(f"{' + '.join(map(str, amounts))} = {total}")
    terms = rng.choice(TERMS if total > 10 else TERMS[:-1])
    for term in terms:
        if percent := PERCENT.get(term):
            change = cents(total * percent / 100)
            steps.append(f"{abs(percent)}% of {total} = {abs(change)}")
        else:
            change = Decimal("-5.00")
        steps.append(f"{total} {'-' if change < 0 else '+'} {abs(change)} = {total + change}")
        total += change
    return {"problem": "; ".join([*lines, *terms]), "steps": steps, "answer": str(total)}


if __name__ == "__main__":
    write(row)
