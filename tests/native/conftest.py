"""Generated examples on machines that others use too: no example is too slow. Where each instruction is emulated, there
are fewer of them.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "shared-machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=int(os.environ.get("GENERATED_EXAMPLES", "100")),
)
settings.load_profile("shared-machine")
