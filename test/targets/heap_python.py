# heap_python.py ROUNDS: a little of all that makes CPython allocate; to be run with PYTHONMALLOC=malloc.
import collections
import json
import re
import sys

rounds = int(sys.argv[1])
kept = collections.defaultdict(list)
for turn in range(rounds):
    text = json.dumps([{"key%d" % i: [i, str(i), float(i)]} for i in range(100)])
    words = re.findall(r"[a-z]+(\d+)", text)
    kept[turn % 13].append(sorted(words, key=lambda word: word[::-1])[:20])
    try:
        raise ValueError(turn)
    except ValueError as error:
        kept["errors"].append(str(error))
print(sum(map(len, kept.values())))
