"""Reading checkpoints of other projects: tensors and plain containers, and nothing that runs."""

import mmap
import re
import zipfile
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode  # as PyTorch's notes on serialization import it

from deblur import paths
from deblur.models.published import Tensors

WRAPPERS = (
    "params_ema",
    "params",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "netG",
    "generator",
    "G",
)
"""Keys under which checkpoints keep the weights; where several are there, the first one counts."""


PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name."""


LONGEST = 500
"""Characters of a tensor's name."""


DTYPES = {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}


DTYPES |= {torch.float16, torch.bfloat16, torch.float32, torch.float64}
"""What weights are kept as; half precision in 8 bits has a scale elsewhere, and complex numbers are no weights."""


def read(file: Path) -> Tensors:
    """The tensors of a PyTorch checkpoint or a safetensors file, without wrappers and prefixes.

    Raises:
        ValueError: for files that hold no weights, more than weights, or less than they declare, with the remedy.
    """
    refuse_no_checkpoint(file)
    if file.suffix != ".safetensors":
        with FakeTensorMode():  # names, shapes and sizes alone: what is declared takes no memory
            _refuse_more_than_the_file(_loaded(file, "meta"), file)
    return _plain(_unwrapped(_loaded(file, "cpu"), file), file)


def _loaded(file: Path, device: str) -> object:
    try:
        if file.suffix == ".safetensors":
            return load_file(file, device)
        return torch.load(file, map_location=device, weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(f"{file} {_why_unreadable(error)}") from error


def _refuse_more_than_the_file(declared: object, file: Path) -> None:
    """A tensor may declare any shape over no bytes at all; weights never take more memory than their file has bytes."""
    file_bytes, pending, met = file.stat().st_size, [declared], set[int]()
    while pending:
        part = pending.pop()
        if id(part) in met:
            continue
        met.add(id(part))
        if isinstance(part, Tensor) and part.layout == torch.strided:
            size = max(part.numel() * part.element_size(), part.untyped_storage().nbytes())
            if size > file_bytes:
                what = f"declares a tensor of {size:,} bytes, but has {file_bytes:,} bytes itself"
                raise ValueError(f"{file} {what}: it is no checkpoint of weights; download it again")
        elif isinstance(part, Mapping):
            pending += [*part.values()]
        elif isinstance(part, list | tuple | set):
            pending += [*part]


ADVICE = {
    b"version https://git-lfs": "only points to the weights: fetch them with 'git lfs pull'",
    b"\x1f\x8b": "is compressed: unpack it and give the file inside",
    b"Rar!": "is an archive: unpack it and give the file inside",
    b"7z\xbc\xaf": "is an archive: unpack it and give the file inside",
}
"""First bytes of files that are no checkpoints -> what to do."""


def refuse_no_checkpoint(file: Path) -> None:
    """Refuse what is told from weights by its first bytes.

    Raises:
        ValueError: saying what it is instead, and the remedy.
    """
    refuse_no_file(file)
    with open(file, "rb") as stream:
        start = stream.read(512)
    if not start:
        raise ValueError(f"{file} is empty: the download failed; repeat it")
    if start.lstrip().startswith(b"<") and b"\0" not in start:
        raise ValueError(f"{file} is a web page, not weights: the server refused or asked a question; use a browser")
    for signature, advice in ADVICE.items():
        if start.startswith(signature):
            raise ValueError(f"{file} {advice}")
    with open(file, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(b"\nbytearray\n") >= 0:  # the one thing that pickles of weights may make of a number alone
            raise ValueError(f"{file} holds arrays of bytes, which weights are not: download it again")
    if zipfile.is_zipfile(file):
        _refuse_other_archives(file)


def refuse_no_file(file: Path) -> None:
    kind = paths.kind(file)
    if kind not in ("a file", ""):
        raise ValueError(f"{file} is {kind}, not a file of weights; give the file itself")


def _refuse_other_archives(file: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            inside = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ValueError(f"{file} {_why_unreadable(error)}") from error
    if not any(entry.filename.endswith("data.pkl") for entry in inside):
        names = ", ".join(_shown(entry.filename) for entry in inside[:4])
        raise ValueError(f"{file} is an archive: unpack it and give the file inside ({names})")
    if sum(entry.file_size for entry in inside) > file.stat().st_size:  # PyTorch packs, and never compresses
        raise ValueError(f"{file} is compressed, which PyTorch's checkpoints are not: download it again")


def _why_unreadable(error: Exception) -> str:
    needed = re.search(r"GLOBAL ([\w.]+)", str(error))
    if needed:
        return (
            f"is a pickle that needs {needed[1]}, so it is not opened: that would run code from the file. If you trust "
            "it, open it where the project's own code is installed and save the tensors alone: "
            "torch.save(model.state_dict(), 'weights.pth')"
        )
    if "aten" in str(error):
        return "holds quantised, nested or sparse tensors: save the state_dict as dense tensors of float32"
    reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
    return f"is damaged or no PyTorch checkpoint: download it again ({reason})"


def _unwrapped(loaded: object, file: Path) -> Tensors:
    inside: list[str] = []
    met: list[object] = []
    while isinstance(loaded, Mapping) and not any(loaded is outer for outer in met):
        met.append(loaded)
        key = next((key for key in WRAPPERS if isinstance(loaded.get(key), Mapping)), None)
        if key is None:
            break
        loaded, inside = loaded[key], [*inside, key]
    if not (isinstance(loaded, Mapping) and loaded and all(isinstance(value, Tensor) for value in loaded.values())):
        where = f"under {_shown(' / '.join(inside))} " if inside else ""
        keys = list(islice(loaded, 8)) if isinstance(loaded, Mapping) else []
        what = f"the keys {', '.join(map(_shown, keys))}" if isinstance(loaded, Mapping) else type(loaded).__name__
        raise ValueError(f"{file} holds {where}no named tensors but {what}; save the state_dict alone, and import that")
    wrong = [name for name in loaded if not (isinstance(name, str) and name.isprintable() and len(name) <= LONGEST)]
    if wrong:
        what = f"tensors under {_shown(wrong[0])}, which is no name of a tensor"
        raise ValueError(f"{file} holds {what}; save the state_dict alone, and import that")
    tensors = dict(loaded)
    for prefix in PREFIXES:
        while all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _plain(tensors: Tensors, file: Path) -> Tensors:
    """The tensors, if numbers stand behind all of them, one for each element."""
    for name, tensor in tensors.items():
        if tensor.is_meta or tensor.is_nested or tensor.layout != torch.strided or tensor.dtype not in DTYPES:
            what = "no data" if tensor.is_meta else f"{tensor.dtype}, {tensor.layout}".replace("torch.", "")
            raise ValueError(f"{file} holds {name} as {what}; save it as a dense tensor of float32, and import that")
    return tensors


def _shown(key: object) -> str:
    """A key for a message, whatever it is."""
    text = key if isinstance(key, str) else repr(key) if isinstance(key, bytes) else f"a {type(key).__name__}"
    return text[:40] if text.isprintable() else ascii(text[:40])
