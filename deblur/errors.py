"""What tells wrong use from work that failed."""

from collections.abc import Iterable
from difflib import get_close_matches


class UsageError(ValueError):
    """Arguments that are wrong before any work begins; commands end with status 2."""


def unknown(what: str, value: object, known: Iterable[str], kind: type[UsageError] = UsageError) -> UsageError:
    """An error for a name that is none of those there are: lists them, and what may be meant.

    Args:
        what: the kind of thing, e.g. `scale`.
        kind: of the error.
    """
    return kind(f"unknown {what} {value!r}; {alternatives(value, known)}")


def alternatives(value: object, known: Iterable[str]) -> str:
    """What to choose in place of a wrong value."""
    names = list(known)
    return f"choose one of {', '.join(names)}{meant(value, names)}"


def meant(value: object, known: Iterable[str]) -> str:
    """A question after the name that is nearest to a wrong value, empty where none is near."""
    close = get_close_matches(str(value), list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
