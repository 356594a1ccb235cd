"""Settings of every test in the workspace."""

import os

from hypothesis import settings

# One thread a process, before torch is loaded: two test processes with two threads each wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadline: a busy machine may stop for longer than a test takes. Fixed examples: a failure comes back.
settings.register_profile("workspace", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("workspace")
