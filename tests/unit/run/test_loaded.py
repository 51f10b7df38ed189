"""What is loaded is left alone by the garbage collector, what comes after is not."""

import subprocess
import sys

from workspace import ROOT

PROGRAM = """
import atexit, gc, weakref
from purity.run import loaded

class Cycle:
    def __init__(self):
        self.me = self

def left():
    made = Cycle()
    return weakref.ref(made)

atexit.register(lambda: print("at the end", gc.get_freeze_count() >= before + len(kept)))
first = left()
loaded.leave_alone()
before, second, kept = gc.get_freeze_count(), left(), [[] for _ in range(1000)]
gc.collect()
print(first() is not None, second() is None, before > 1000)
"""


def test_what_comes_after_is_collected_until_the_process_ends():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "True True True\nat the end True\n"
