"""torchvision, loaded before the networks that need it, or plain words where it cannot be."""

from deblur.builds import MismatchError

try:
    import torchvision  # noqa: F401
except (ImportError, RuntimeError, OSError) as error:
    raise MismatchError(error) from error
