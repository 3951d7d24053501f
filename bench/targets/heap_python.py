"""heap_python.py ROUNDS: what Python programs do: parse and write JSON, match, build objects, format, sort."""

import json
import re
import sys


class Order:
    def __init__(self, number, customer, lines):
        self.number = number
        self.customer = customer
        self.lines = lines

    def total(self):
        return sum(price * count for _, price, count in self.lines)


WORD = re.compile(r"(?P<first>[a-z])(?P<rest>[a-z]+)-(\d+)")
DOCUMENT = json.dumps(
    [{"id": i, "name": f"item-{i}", "tags": [f"t{i % 7}", f"u{i % 11}"], "price": i * 1.25} for i in range(300)]
)


def one_round(turn):
    items = json.loads(DOCUMENT)
    orders = []
    for item in items:
        found = WORD.match(item["name"])
        lines = [(tag, item["price"], count) for count, tag in enumerate(item["tags"])]
        orders.append(Order(turn + item["id"], found.group("rest") + found.group(3), lines))
    orders.sort(key=Order.total, reverse=True)
    by_customer = {}
    for order in orders:
        by_customer.setdefault(order.customer, []).append(order)
    text = json.dumps({name: [order.total() for order in group] for name, group in by_customer.items()})
    return len(text.split(",")) + len("".join(reversed(text)))


kept = []
for turn in range(int(sys.argv[1])):
    kept.append([f"{turn}.{n}" for n in range(one_round(turn) % 50)])
    if len(kept) > 200:
        kept.pop(0)
