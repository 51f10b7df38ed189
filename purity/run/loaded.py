"""What a process has loaded stays until it ends, so its garbage collector need not look through it.

Snakemake and torch make some hundred thousand objects when they are loaded. To look through them, now and then and once
more at the end, is a fifth of the time in which a DAG is planned and a sixth of that in which a job starts and ends.
"""

import atexit
import gc


def leave_alone() -> None:
    """What there is now is never collected; nor is, when the process ends, what there is then."""
    gc.freeze()
    atexit.register(gc.freeze)
