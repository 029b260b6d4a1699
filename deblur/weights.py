"""Weights that other projects published, for the networks of this package.

`import_published` reads a checkpoint that the user has downloaded, translates the names of its tensors by the network's
entry in `PUBLISHED`, checks names and shapes strictly, and writes safetensors with a card beside them. Nothing is
downloaded, and no pickle is opened that holds more than tensors and plain containers.

Translated weights give what the original network gives: where the original takes images in [0,255] or joins features in
another order, the weights are converted, never the network. Differences that weights cannot undo stand in the card.
"""

import json
import mmap
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode  # as PyTorch's notes on serialization import it

from deblur import complexity, paths, recipes
from deblur.errors import UsageError
from deblur.models import mtrnn

Tensors = dict[str, Tensor]
Replacement = str | Callable[[re.Match], str]

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


# ---------------------------------------------------------------------------------------------- how names are replaced


def less(first: int, template: str) -> Replacement:
    """Fill the template with the matched groups; numbers are counted from 0 instead of from `first`."""
    return lambda match: template.format(*(int(g) - first if g.isdigit() else g for g in match.groups()))


def mirrored(last: int, template: str) -> Replacement:
    """Fill the template with the matched number, counted backwards from `last`."""
    return lambda match: template.format(last - int(match[1]))


def looked_up(keys: str, values: str) -> Replacement:
    """Replace a match by the value whose key is its first group; without one it stays."""
    table = dict(zip(keys.split(), values.split(), strict=True))
    return lambda match: table.get(match[1], match[0])


# ------------------------------------------------------------------------------------- how tensors change besides names


def unit_range(tensors: Tensors) -> Tensors:
    """From a network of images in [0,255] to one of images in [0,1].

    Made of convolutions, (leaky) ReLUs and sums alone, it scales with its input if the biases do:
    f(255 x; bias) = 255 f(x; bias / 255).
    """
    return {name: tensor / 255 if name.endswith("bias") else tensor for name, tensor in tensors.items()}


def finest_first(tensors: Tensors) -> Tensors:
    """DeblurGAN-v2 joins the features of its four heads from coarse to fine, the network here from fine to coarse."""
    weight = tensors["smooth.0.weight"]
    return tensors | {"smooth.0.weight": weight.unflatten(1, (4, -1)).flip(1).flatten(1, 2)}


# ------------------------------------------------------------------------------------------------ what projects publish


@dataclass(frozen=True)
class Published:
    """What a project published, and how its names become those of the network here."""

    project: str  # on GitHub
    file: str  # what to download from there
    renames: tuple[tuple[str, Replacement], ...]  # regular expression and replacement; all are applied, in this order
    unused: str = ""  # expression for whole names that no output depends on
    fixed: Mapping[str, Tensor] = field(default_factory=dict)  # constants in the file, part of the code here
    convert: Callable[[Tensors], Tensors] = dict  # what differs besides names
    parts: str = ""  # expression for the stems of the files in a folder, where every part has a file of its own
    cautions: tuple[str, ...] = ()  # why results may differ from the published ones


_MPRNET = (
    (r"\.body\.0\.weight$", ".conv1.weight"),  # of a channel attention block
    (r"\.body\.2\.weight$", ".conv2.weight"),
    (r"\.CA\.conv_du\.0\.", ".squeeze."),
    (r"\.CA\.conv_du\.2\.", ".excite."),
    (r"^.*\.body\.1\.weight$", "act.weight"),  # one PReLU, listed in every block
    (r"^shallow_feat(\d)\.", less(1, "shallow.{}.")),
    (r"^stage(\d)_(encoder|decoder)\.", less(1, "{1}s.{0}.")),
    (r"\.(?:en|de)coder_level(\d)\.", less(1, ".levels.{}.")),
    (r"\.skip_attn(\d)\.", less(1, ".skips.{}.")),
    (r"\.down(\d)\d\.down\.1\.", less(1, ".downs.{}.")),
    (r"\.up\d(\d)\.up\.1\.", less(1, ".ups.{}.conv.")),
    (r"\.(csff_enc|csff_dec)(\d)\.", less(1, ".{0}.{1}.")),
    (r"^sam(\d)\d\.(conv\d)\.", less(1, "sams.{0}.{1}.")),
    (r"(?<=^sams\.\d\.)(conv\d)", looked_up("conv1 conv2 conv3", "features image attention")),
    (r"^concat(\d)\d\.", less(1, "joins.{}.")),
    (r"^stage3_orsnet\.", "orsnet."),
    (r"\.orb(\d)\.", less(1, ".orbs.{}.")),
    (r"\.up_(enc|dec)1\.up\.1\.", r".from_\1.1.0.conv."),
    (r"\.up_(enc|dec)2\.(\d)\.up\.1\.", r".from_\1.2.\2.conv."),
    (r"\.conv_(enc|dec)(\d)\.", less(1, ".from_{0}.{1}.{1}.")),
)

_MIMOUNET = (
    (r"\.(?:main|conv)\.(\d)\.main\.0\.", r".body.\1.0."),
    (r"^Encoder\.(\d)\.layers\.", r"encoder.\1."),
    (r"^Decoder\.(\d)\.layers\.", mirrored(2, "decoder.{}.")),
    (r"^feat_extract\.([0-2])\.main\.", r"heads.\1."),
    (r"^feat_extract\.([34])\.main\.", mirrored(4, "ups.{}.")),
    (r"^feat_extract\.5\.main\.0\.", "images.0."),
    (r"^ConvsOut\.(\d)\.main\.0\.", mirrored(2, "images.{}.")),
    (r"^Convs\.(\d)\.main\.", mirrored(1, "joins.{}.")),
    (r"^AFFs\.", "affs."),
    (r"^FAM(\d)\.merge\.main\.", mirrored(2, "fams.{}.merge.")),
    (r"^SCM(\d)\.conv\.main\.", mirrored(2, "scms.{}.merge.")),
    (r"^SCM(\d)\.", mirrored(2, "scms.{}.")),
)

_NAFNET = (
    (
        r"^(intro|ending|encoders|middle_blks|decoders)\.",
        looked_up("intro ending encoders middle_blks decoders", "head. tail. encoder. middle. decoder."),
    ),
    (
        r"(?<=\.)(conv\d|sca\.1)(?=\.)",
        looked_up("conv1 conv2 conv3 sca.1 conv4 conv5", "widen1 depthwise narrow1 attention widen2 narrow2"),
    ),
)

_DMPHN = (
    (r"^(encoder|decoder)_lv(\d)\.", less(1, "hierarchy.levels.{1}.{0}.")),
    (r"^(encoder|decoder)_s(\d)_lv(\d)\.", less(1, "stack.{1}.levels.{2}.{0}.")),
    (
        r"(?<=\.)layer(\d+)(?=\.)",
        looked_up(
            "1 2 3 5 6 7 9 10 11 13 14 16 17 18 20 21 22 24",
            "head body1.0 body1.1 down1 body2.0 body2.1 down2 body3.0 body3.1 "
            "body3.0 body3.1 up2 body2.0 body2.1 up1 body1.0 body1.1 tail",
        ),
    ),
    (r"(\.body\d\.\d)\.0\.", r"\1.conv1."),
    (r"(\.body\d\.\d)\.2\.", r"\1.conv2."),
)

_DEBLURGAN = (
    (r"^model\.(\d+)\.conv_block\.1\.", less(10, "body.{}.body.0.")),
    (r"^model\.(\d+)\.conv_block\.[56]\.", less(10, "body.{}.body.4.")),  # without and with dropout before it
    (r"^model\.(\d+)\.", looked_up("1 4 7 19 22 26", "head.0. down.0. down.3. up.0. up.3. tail.")),
)

_DEBLURGAN_V2 = (
    (r"(?<=\.1\.conv\.)(\d)(?=\.)", looked_up("0 1 3 4", "0.0 0.1 1 2")),  # the one block that does not expand
    (r"(?<!\.1\.conv\.)(?<=\.conv\.)(\d)(?=\.)", looked_up("0 1 3 4 6 7", "0.0 0.1 1.0 1.1 2 3")),
    (r"^fpn\.features(?=\.[01]\.)", "backbone.0"),
    (r"^fpn\.features(?=\.[23]\.)", "backbone.1"),
    (r"^fpn\.features(?=\.[4-6]\.)", "backbone.2"),
    (r"^fpn\.features(?=\.(?:[7-9]|10)\.)", "backbone.3"),
    (r"^fpn\.features(?=\.1[1-5]\.)", "backbone.4"),
    (r"^fpn\.lateral(\d)\.", r"laterals.\1."),
    (r"^fpn\.td(\d)\.", less(1, "mix.{}.")),
    (r"^head(\d)\.block0\.", less(1, "heads.{}.0.")),
    (r"^head(\d)\.block1\.", less(1, "heads.{}.2.")),
    (r"^final\.", "tail."),
)

_MTRNN = (
    (r"\.stem\.0\.", ".conv1."),
    (r"\.stem\.2\.", ".conv2."),
    (
        r"^(conv\d_[1c]|img_prd)\.0(?=\.)",
        looked_up(
            "conv1_1 conv2_1 conv2_c conv3_1 conv3_c conv5_1 conv5_c conv6_1 conv6_c img_prd",
            "head down1 enc2.join down2 enc3.join up2 dec2.join up1 dec1.join tail",
        ),
    ),
    (r"^conv1_(\d)\.", less(2, "enc1.{}.")),
    (r"^conv2_(\d)\.", less(2, "enc2.body.{}.")),
    (r"^conv3_(\d)\.", less(2, "enc3.body.{}.")),
    (r"^conv4_(\d)\.", less(1, "middle.{}.")),
    (r"^conv5_(\d)\.", less(2, "dec2.body.{}.")),
    (r"^conv6_(\d)\.", less(2, "dec1.body.{}.")),
)

_DBGAN = (
    (r"^model\.(0|2|4)\.", looked_up("0 2 4", "head. before_tail. tail.")),
    (r"^model\.1\.sub1\.", "body."),
    (r"^model\.1\.sub2\.0\.", "body.16."),
    (r"\.RDB(\d)\.conv(\d)\.0\.", less(1, ".dense.{}.convs.{}.")),
)

_MSCNN = (
    (r"^body_models\.(\d)\.body\.", r"scales.\1."),
    (r"^(scales\.\d)\.0\.", r"\1.head."),
    (r"^(scales\.\d)\.20\.", r"\1.tail."),
    (r"(?<=^scales\.\d\.)(\d+)\.body\.", less(1, "body.{}.")),
    (r"(\.body\.\d+)\.0\.", r"\1.conv1."),
    (r"(\.body\.\d+)\.2\.", r"\1.conv2."),
    (r"^conv_end_models\.(\d)\.uppath\.", less(1, "ups.{}.")),
)

_BUFFERS = r"(?:running_mean|running_var|num_batches_tracked)"

PUBLISHED: dict[str, Published] = {
    "mprnet": Published("swz30/MPRNet", "model_deblurring.pth", _MPRNET),
    "mimounet": Published("chosj95/MIMO-UNet", "MIMO-UNet.pkl", _MIMOUNET),
    "mimounet_plus": Published("chosj95/MIMO-UNet", "MIMO-UNetPlus.pkl", _MIMOUNET),
    "nafnet": Published(
        "megvii-research/NAFNet",
        "NAFNet-GoPro-width32.pth",
        _NAFNET,
        cautions=("the project's test takes the attention's means over windows of 384 px, here over the whole image",),
    ),
    "dmphn": Published(
        "HongguangZhang/DMPHN-cvpr19-master",
        "checkpoints/DMPHN_1_2_4_8, with encoder_lv1.pkl to decoder_lv4.pkl",
        _DMPHN,
        parts=r"(en|de)coder_lv\d",
    ),
    "dmphn_stack4": Published(
        "HongguangZhang/DMPHN-cvpr19-master",
        "checkpoints/SDNet4, with encoder_s1_lv1.pkl to decoder_s4_lv3.pkl",
        _DMPHN,
        parts=r"(en|de)coder_s\d_lv\d",
    ),
    "deblurgan": Published(
        "KupynOrest/DeblurGAN",
        "latest_net_G.pth",
        _DEBLURGAN,
        # Normalisation by the image's own statistics cancels the biases before it and needs no running ones.
        unused=rf"model\.(?:1|4|7|19|22)\.bias|.*\.conv_block\.\d\.bias|.*\.{_BUFFERS}",
        cautions=(
            "the project's test resizes and crops images and leaves dropout active; both are off here",
            "weights of the project's later code, whose blocks have one convolution, do not fit",
        ),
    ),
    "deblurgan_v2": Published(
        "VITA-Group/DeblurGANv2",
        "fpn_mobilenet.h5",
        _DEBLURGAN_V2,
        # `enc0` to `enc4` list the backbone again; its last blocks lead nowhere.
        unused=rf"fpn\.enc\d\..*|fpn\.features\.1[678]\..*|(?:fpn\.td\d|smooth2?)\.(?:0\.bias|1\.{_BUFFERS})",
        convert=finest_first,
        cautions=(
            "the project predicts in training mode: its backbone normalises by each image's statistics, here by the "
            "running ones in the file",
            "the project pads images with grey, here they are reflected",
        ),
    ),
    "mtrnn": Published(
        "Dong1P/MTRNN",
        "model_best.pt",
        _MTRNN,
        fixed={
            "sub_mean.weight": torch.eye(3),
            "sub_mean.bias": -255 * torch.tensor(mtrnn.MEAN),
            "add_mean.weight": torch.eye(3),
            "add_mean.bias": 255 * torch.tensor(mtrnn.MEAN),
        },
        convert=unit_range,
    ),
    "dbgan": Published("HDCVLab/Deblurring-by-Realistic-Blurring", "G.pth", _DBGAN),
    "mscnn": Published(
        "SeungjunNah/DeepDeblur-PyTorch",
        "models/model-*.pt of GOPRO_L1",
        _MSCNN,
        convert=unit_range,
        cautions=(
            "the project halves images with a Gaussian pyramid, here they are means of 2x2 pixels",
            "the images of the training are taken to be in [0,255], the project's default; the file does not say",
            "the project trains on blur_gamma of GoPro by default",
        ),
    ),
}
"""Network -> its published form; read from the projects' code, not from their files."""

_UNKNOWN = "no published weights are known to us"
_TENSORFLOW = "its project published TensorFlow checkpoints, which PyTorch does not read"

UNPUBLISHED: dict[str, str] = {
    "attentive": _UNKNOWN,
    "radn": _UNKNOWN,
    "simplenet": _UNKNOWN,
    "raidnet": _UNKNOWN,
    "sgenet": _UNKNOWN,
    "srn": _TENSORFLOW,
    "srn_lgcr": "a combination of SimpleNet's paper; " + _UNKNOWN,
    "srn_pvb": "a combination of SimpleNet's paper; " + _UNKNOWN,
    "pss_nsc": _TENSORFLOW,
}
"""Network -> why there is nothing to import."""


# --------------------------------------------------------------------------------------------------------------- import


def import_published(
    network: str, source: Path, variant: str = "paper", out: Path | None = None, overwrite: bool = False
) -> Path:
    """Translate a downloaded checkpoint into weights of this package, at scale `paper`.

    Args:
        source: the file, or the folder where the project publishes a file a part.
        out: a `.safetensors` file (default: beside `source`); the card gets the same name with `.json`.
        overwrite: whether an earlier import may be replaced; never other weights or their card.

    Returns:
        The file written, whole or not at all, together with its card.

    Raises:
        OSError: if weights or card are there already, or cannot be written.
        ValueError: for a network without published weights, a file that holds none, and names or shapes that differ.
    """
    form = published_form(network)
    out = out or source.with_name(f"{network}-{source.name if source.is_dir() else source.stem}.safetensors")
    if out.suffix != ".safetensors":
        raise UsageError(f"{out}: weights are written as safetensors; give --out a name that ends in .safetensors")
    files = _files(network, source, form)
    check_out(out, "source_sha256", overwrite, files)
    # The card comes last: without one the file is nobody's.
    with paths.delivering(card_path(out), overwrite) as card_draft, paths.delivering(out, overwrite) as draft:
        save_file(_translated(network, source, files, form, variant), draft)
        card = _card(network, source, files, form, variant) | {"sha256": paths.file_sha256(draft)}
        card_draft.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return out


def _translated(network: str, source: Path, files: Sequence[Path], form: Published, variant: str) -> Tensors:
    tensors: Tensors = {}
    for file in files:
        prefix = f"{file.stem}." if form.parts else ""
        tensors |= {prefix + name: tensor for name, tensor in read(file).items()}
    try:
        return translate(network, tensors, variant)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def _card(network: str, source: Path, files: Sequence[Path], form: Published, variant: str) -> dict[str, object]:
    return {
        "network": network,
        "variant": variant,
        "scale": "paper",
        "parameters": complexity.parameters(_on_meta(network, variant)),
        "project": f"https://github.com/{form.project}",
        "source": source.name,
        "source_sha256": {file.name: paths.file_sha256(file) for file in files},
        "imported": datetime.now(UTC).date().isoformat(),
        "torch": torch.__version__,
        "not_vouched_for": [
            f"that these are the project's own weights ({form.file}): compare the hash where it gives one",
            "on which images and for how long they were trained, and under which licence they may be used",
            *form.cautions,
        ],
    }


def check_out(out: Path, mark: str, overwrite: bool = False, inputs: Iterable[Path] = ()) -> None:
    """Refuse a name for weights before the work: they and what goes with them are replaced only if all are ours.

    Args:
        mark: what the card of such weights holds besides their hash.
        inputs: files that are read.

    Raises:
        InTheWayError: what is in the way, and the remedy.
    """
    paths.check_file(out, overwrite=True, inputs=inputs)
    there = [path for path in (out, card_path(out)) if os.path.lexists(path)]
    try:
        card = json.loads(paths.read_bytes(card_path(out)))
        ours = mark in card and card["sha256"] == paths.file_sha256(out)
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if there and not ours:
        raise paths.InTheWayError(f"{there[0]} is already there, and not of an earlier call; give another name")
    paths.check_file(out, overwrite)


def card_path(weights: Path) -> Path:
    """The card of a weights file: `NAME.json` beside `NAME.safetensors`."""
    return weights.with_suffix(".json")


def published_form(network: str) -> Published:
    """What is known of a network's published weights.

    Raises:
        ValueError: if there are none, saying why.
    """
    if network in UNPUBLISHED:
        raise UsageError(f"{network} has no weights to import: {UNPUBLISHED[network]}")
    if network not in PUBLISHED:
        raise UsageError(f"unknown network {network!r}; choose one of {', '.join(PUBLISHED)}")
    return PUBLISHED[network]


def _files(network: str, source: Path, form: Published) -> list[Path]:
    """The file to read, or one file a part."""
    if not paths.kind(source):
        raise FileNotFoundError(f"{source} does not exist; {network} needs {form.file} from github.com/{form.project}")
    if not form.parts:
        if source.is_dir():
            raise ValueError(f"{source} is a folder; give the file itself ({form.file})")
        _refuse_no_file(source)
        return [source]
    if not source.is_dir():
        raise ValueError(
            f"{source} is a file; the weights of {network} are in several: give their folder ({form.file})"
        )
    files = sorted(file for file in source.iterdir() if re.fullmatch(form.parts, file.stem))
    stems = [file.stem for file in files]
    twice = {stem for stem in stems if stems.count(stem) > 1}
    if twice or not files:
        found = f"several files for {', '.join(sorted(twice))}" if twice else "no file of that kind"
        raise ValueError(f"{source} holds {found}; {network} needs {form.file}, each once")
    for file in files:
        _refuse_no_file(file)
    return files


def translate(network: str, tensors: Tensors, variant: str = "paper") -> Tensors:
    """Tensors under the project's names -> the weights of the network here, checked strictly.

    Raises:
        ValueError: naming what is missing, unknown, misshapen, contradictory or not finite.
    """
    form = published_form(network)
    found: Tensors = {}
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
            if not _same(tensor, found.setdefault(new, tensor)):
                problems.append(f"{name} differs from {first}, with which it is shared")
    wanted = _on_meta(network, variant).state_dict()
    for name, tensor in wanted.items():
        if name.endswith("num_batches_tracked"):  # PyTorch before 0.4.1 has none
            found.setdefault(name, torch.zeros(tensor.shape))
    problems += [f"missing {name}" for name in wanted.keys() - found.keys()]
    problems += [f"unknown {names[name]}" for name in found.keys() - wanted.keys()]
    problems += [
        f"{names[name]} is {tuple(found[name].shape)}, the network has {tuple(wanted[name].shape)}"
        for name in found.keys() & wanted.keys()
        if found[name].shape != wanted[name].shape
    ]
    if not problems:
        problems = [f"{names[name]} is not finite" for name in found if not found[name].isfinite().all()]
    if problems:
        shown = "; ".join(sorted(problems)[:8])
        raise ValueError(f"not the weights of {network} ({form.file}), {len(problems)} differences: {shown}")
    # Copies, since safetensors takes no two tensors that share memory.
    return {
        name: tensor.to(wanted[name].dtype, memory_format=torch.contiguous_format, copy=True)
        for name, tensor in form.convert(found).items()
    }


def _same(a: Tensor, b: Tensor) -> bool:
    return a.numel() == b.numel() and torch.allclose(a.flatten().float(), b.flatten().float(), equal_nan=True)


def _on_meta(network: str, variant: str) -> nn.Module:
    """The network that `deblur evaluate --scale paper` builds, without memory."""
    return complexity.on_meta(network, variant, **recipes.recipe(network, variant, "paper").config)


# -------------------------------------------------------------------------------------------------------------- reading


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
    there, pending, met = file.stat().st_size, [declared], set[int]()
    while pending:
        part = pending.pop()
        if id(part) in met:
            continue
        met.add(id(part))
        if isinstance(part, Tensor) and part.layout == torch.strided:
            size = max(part.numel() * part.element_size(), part.untyped_storage().nbytes())
            if size > there:
                what = f"declares a tensor of {size:,} bytes, but has {there:,} bytes itself"
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
    _refuse_no_file(file)
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


def _refuse_no_file(file: Path) -> None:
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
