"""Settings of every test in the workspace."""

from hypothesis import settings

# No deadline: a busy machine may stop for longer than a test takes. Fixed examples: a failure comes back.
settings.register_profile("workspace", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("workspace")
