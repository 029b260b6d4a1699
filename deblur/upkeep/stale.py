"""Write `results/stale.txt`: what the present code would not make again. `python -m deblur.upkeep.stale`"""

from deblur import stale, writing
from deblur.upkeep import committed

HEADER = "# Made by earlier code; written by `python -m deblur.upkeep.stale`.\n"


def write() -> list[str]:
    """List what is stale now, or remove the file if nothing is; returns the names."""
    names = committed.stale()
    if names:
        writing.write_text(stale.file(), HEADER + "".join(f"{name}\n" for name in names))
    else:
        stale.file().unlink(missing_ok=True)
    return names


if __name__ == "__main__":
    print(*(write() or ["nothing is stale"]), sep="\n")
