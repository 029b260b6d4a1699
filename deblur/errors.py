"""What tells wrong use from work that failed."""


class UsageError(ValueError):
    """Arguments that are wrong before any work begins; commands end with status 2."""
