"""Five motion-deblurring papers, reproduced: networks, data, protocols, and printed beside measured."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deblur.restoration import restore as restore

__version__ = "0.1.0"


def _check_torchvision() -> None:
    """Fail early, and plainly, when torch and torchvision are builds that do not belong together."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            f"torch and torchvision do not match ({error}). Install the pair pinned in requirements.lock: "
            "'uv pip install -r requirements.lock' (plain pip may pick a CPU build of torch that the "
            "registry's torchvision cannot load), or run 'make setup'."
        ) from error


_check_torchvision()


def __getattr__(name: str) -> Any:
    """`deblur.restore`, loaded when it is asked for."""
    if name == "restore":
        from deblur.restoration import restore

        return restore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
