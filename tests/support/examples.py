"""How many examples a property test draws: few in the suite, the full number by `make fuzz`."""

from hypothesis import settings


def examples(suite: int, fuzz: int) -> int:
    """For `max_examples` of a test whose examples cost more than milliseconds each."""
    return fuzz if settings.get_current_profile_name() == "fuzz" else suite
