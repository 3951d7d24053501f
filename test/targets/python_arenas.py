"""python_arenas.py FILE: fills arenas and thins them out, writes what the interpreter counts to FILE, and stands still."""

import os
import random
import sys

random.seed(4)
kept = []
for bytes_each in (16, 40, 72, 200, 456):
    made = [bytes(bytes_each - 33) if bytes_each > 33 else float(i) for i in range(40000)]
    # Some pools stay full, some are thinned out, some are emptied.
    kept.append([block for i, block in enumerate(made) if i < 10000 or (i < 25000 and random.random() < 0.2)])
    del made
churn = [object() for _ in range(200000)]
del churn

target = os.open(sys.argv[1] + ".part", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
os.dup2(target, 2)
os.close(target)
sys._debugmallocstats()
os.rename(sys.argv[1] + ".part", sys.argv[1])
sys.stdin.read()
