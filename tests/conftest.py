"""What holds for all tests: a property is tried on the same examples each time."""

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")
