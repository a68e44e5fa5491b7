"""What every test shares: how Hypothesis runs."""

from hypothesis import settings

# Speed is not what these tests judge, and a busy machine is not a fault: no deadline.
settings.register_profile("project", deadline=None, print_blob=True)
settings.load_profile("project")
