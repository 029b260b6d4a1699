"""Weights that other projects published, for the networks of this package.

`import_published` reads a checkpoint or package that the user has downloaded, translates the names of its tensors by
the network's entry in `deblur.models.PUBLISHED`, checks names and shapes strictly, and writes safetensors with a card
beside them. Nothing is downloaded.
"""

import os
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from deblur import paths, recipes, writing
from deblur.errors import UsageError, unknown
from deblur.evaluation import complexity
from deblur.models import PUBLISHED
from deblur.models.published import Published, Tensors
from deblur.weights import cards, packages, yardsticks
from deblur.weights.cards import Card
from deblur.weights.checkpoints import read, refuse_no_file


def import_published(
    network: str, source: Path, variant: str = "paper", out: Path | None = None, overwrite: bool = False
) -> Path:
    """Translate a downloaded checkpoint into weights of this package, at scale `paper`.

    Args:
        source: the file, or the folder where the project publishes a file a part.
        out: a `.safetensors` file (default: `default_out`); the card gets the same name with `.json`.
        overwrite: whether an earlier import may be replaced; never other weights or their card.

    Returns:
        The file written, whole or not at all, together with its card.

    Raises:
        OSError: if weights or card are there already, or cannot be written.
        ValueError: for a network without published weights, a file that holds none, and names or shapes that differ.
    """
    form = published_form(network)
    out = out or default_out(network, source)
    if out.suffix != ".safetensors":
        raise UsageError(f"{out}: weights are written as safetensors; give --out a name that ends in .safetensors")
    files = _files(network, source, form)
    check_out(out, "source_sha256", overwrite, files)
    # The card comes last: without one the file is nobody's.
    with writing.delivering(cards.beside(out), overwrite) as card_draft, writing.delivering(out, overwrite) as draft:
        save_file(_translated(network, source, files, form, variant), draft)
        card = _card(network, source, files, form, variant, paths.file_sha256(draft))
        card_draft.write_text(card.text, encoding="utf-8")
    return out


def default_out(network: str, source: Path) -> Path:
    """Where an import lies that is given no place: in `paths.imported_dir()`, named after network and source.

    What comes out of a package has the network's name alone.
    """
    stem = source.name if source.is_dir() else source.stem
    name = network if published_form(network).package else f"{network}-{stem}"
    return paths.imported_dir() / f"{name}.safetensors"


def _translated(network: str, source: Path, files: Sequence[Path], form: Published, variant: str) -> Tensors:
    tensors: Tensors = {}
    for file in files:
        prefix = f"{file.stem}." if form.parts else ""
        content = packages.read(file, form.package) if form.package else read(file)
        tensors |= {prefix + name: tensor for name, tensor in content.items()}
    try:
        return translate(network, tensors, variant)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def _card(network: str, source: Path, files: Sequence[Path], form: Published, variant: str, sha256: str) -> Card:
    hashes = {file.name: paths.file_sha256(file) for file in files}
    scores, fingerprint = yardsticks.measured(hashes, variant)
    data = {"trained_on": form.trained_on, "fingerprint": fingerprint}
    return Card(
        network=network,
        variant=variant,
        scale="paper",
        parameters=complexity.parameters(_on_meta(network, variant)),
        project=f"https://github.com/{form.project}",
        source=source.name,
        source_sha256=hashes,
        imported=datetime.now(UTC).date().isoformat(),
        torch=torch.__version__,
        licence=form.licence or None,
        data={name: value for name, value in data.items() if value} or None,
        scores=scores,
        not_vouched_for=_not_vouched_for(form, [*hashes.values()]),
        sha256=sha256,
    )


def _not_vouched_for(form: Published, hashes: Sequence[str]) -> list[str]:
    """What a card of such weights cannot say."""
    pinned = form.package is not None and [*hashes] == [form.package.sha256]
    converted = "the hash is that of the package, whose author converted them"
    said = [
        f"that these are the project's own weights ({form.file}): "
        + (converted if pinned else "compare the hash where it gives one"),
        f"that nothing but {form.trained_on} was trained on: the file cannot tell whether a picture was among it"
        if form.trained_on
        else "on which images and for how long they were trained",
    ]
    if not form.licence:
        said.append("under which licence they may be used")
    return [*said, *form.cautions]


def check_out(out: Path, mark: str, overwrite: bool = False, inputs: Iterable[Path] = ()) -> None:
    """Refuse a name for weights before the work: they and what goes with them are replaced only if all are ours.

    Args:
        mark: the entry that only the card of such weights has.
        inputs: files that are read.

    Raises:
        InTheWayError: what is in the way, and the remedy.
    """
    writing.check_file(out, overwrite=True, inputs=inputs)
    existing = [path for path in (out, cards.beside(out)) if os.path.lexists(path)]
    try:
        card = cards.read(out)
        ours = getattr(card, mark) is not None and card.sha256 == paths.file_sha256(out)
    except (OSError, ValueError):
        ours = False
    if existing and not ours:
        raise writing.InTheWayError(f"{existing[0]} is already there, and not of an earlier call; give another name")
    writing.check_file(out, overwrite)


def published_form(network: str) -> Published:
    """What is known of a network's published weights.

    Raises:
        ValueError: if there are none, saying why.
    """
    importable = [name for name, form in PUBLISHED.items() if isinstance(form, Published)]
    if network not in PUBLISHED:
        raise unknown("network", network, importable)
    form = PUBLISHED[network]
    if isinstance(form, str):
        raise UsageError(f"{network} has no weights to import: {form}")
    return form


def _files(network: str, source: Path, form: Published) -> list[Path]:
    """The file to read, or one file a part."""
    if not paths.kind(source):
        raise FileNotFoundError(f"{source} does not exist; {network} needs {form.origin}")
    if not form.parts:
        if source.is_dir():
            raise ValueError(f"{source} is a folder; give the file itself ({form.file})")
        refuse_no_file(source)
        return [source]
    if not source.is_dir():
        raise ValueError(
            f"{source} is a file; the weights of {network} are in several: give their folder ({form.file})"
        )
    files = sorted(file for file in source.iterdir() if re.fullmatch(form.parts, file.stem))
    stems = [file.stem for file in files]
    twice = {stem for stem in stems if stems.count(stem) > 1}
    if twice or not files:
        held = f"several files for {', '.join(sorted(twice))}" if twice else "no file of that kind"
        raise ValueError(f"{source} holds {held}; {network} needs {form.file}, each once")
    for file in files:
        refuse_no_file(file)
    return files


def translate(network: str, tensors: Tensors, variant: str = "paper") -> Tensors:
    """Tensors under the project's names -> the weights of the network here, checked strictly.

    Raises:
        ValueError: naming what is missing, unknown, misshapen, contradictory or not finite, or what it is instead.
    """
    form = published_form(network)
    for other in form.lookalikes:
        if other.tensor in tensors and _same(tensors[other.tensor], torch.tensor(other.values)):
            raise ValueError(f"not the weights of {network}, but of {other.what}; give {form.file}")
    translated, problems = _renamed(network, tensors, variant)
    if problems:
        shown = "; ".join(sorted(problems)[:8]) + _fitting(network, tensors)
        raise ValueError(f"not the weights of {network} ({form.file}), {len(problems)} differences: {shown}")
    wanted = _on_meta(network, variant).state_dict()
    # Copies, since safetensors takes no two tensors that share memory.
    return {
        name: tensor.to(wanted[name].dtype, memory_format=torch.contiguous_format, copy=True)
        for name, tensor in form.convert(translated).items()
    }


def _renamed(network: str, tensors: Tensors, variant: str) -> tuple[Tensors, list[str]]:
    """Tensors under our names, and all that differs from what the network needs."""
    form = published_form(network)
    translated: Tensors = {}
    names: dict[str, str] = {}
    problems = []
    for name, tensor in tensors.items():
        if name in form.fixed:
            if not _same(tensor, form.fixed[name]):
                problems.append(f"{name} is not the constant that the network is built with")
        elif not re.fullmatch(form.unused, name):
            new = name
            for pattern, replacement in form.renames:
                new = re.sub(pattern, replacement, new)
            first = names.setdefault(new, name)
            if not _same(tensor, translated.setdefault(new, tensor)):
                problems.append(f"{name} differs from {first}, with which it is shared")
    wanted = _on_meta(network, variant).state_dict()
    for name, tensor in wanted.items():
        if name.endswith("num_batches_tracked"):  # PyTorch before 0.4.1 has none
            translated.setdefault(name, torch.zeros(tensor.shape))
    problems += [f"missing {name}" for name in wanted.keys() - translated.keys()]
    problems += [f"unknown {names[name]}" for name in translated.keys() - wanted.keys()]
    problems += [
        f"{names[name]} is {tuple(translated[name].shape)}, the network has {tuple(wanted[name].shape)}"
        for name in translated.keys() & wanted.keys()
        if translated[name].shape != wanted[name].shape
    ]
    if not problems:
        problems = [f"{names[name]} is not finite" for name in translated if not translated[name].isfinite().all()]
    return translated, problems


def _fitting(network: str, tensors: Tensors) -> str:
    """A hint, if these are the weights of another network of the same project."""
    project = published_form(network).project
    for other, form in PUBLISHED.items():
        related = other != network and isinstance(form, Published) and form.project == project
        if related and not _renamed(other, tensors, "paper")[1]:
            return f"; they fit {other}"
    return ""


def _same(a: Tensor, b: Tensor) -> bool:
    return a.numel() == b.numel() and torch.allclose(a.flatten().float(), b.flatten().float(), equal_nan=True)


def _on_meta(network: str, variant: str) -> nn.Module:
    """The network that `deblur evaluate --scale paper` builds, without memory."""
    return complexity.on_meta(network, variant, **recipes.recipe(network, variant, "paper").config)
