"""The networks: one file a paper, one a baseline, one entry `build`."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from torch import nn

from deblur import vision  # noqa: F401  # before the networks: its words, not theirs
from deblur.errors import unknown
from deblur.models import (
    attentive,
    dbgan,
    dbn,
    deblurgan,
    deblurgan_v2,
    deblurgan_v2_inception,
    dmphn,
    maxim,
    mimounet,
    mprnet,
    mscnn,
    mtrnn,
    nafnet,
    pss_nsc,
    radn,
    raidnet,
    sgenet,
    simplenet,
    srn,
    svrnn,
)
from deblur.models.parts import Part, present
from deblur.models.published import Published


class Network(NamedTuple):
    """Where a network stands: the file with its `VARIANTS`, its class, and the class of its configuration."""

    file: ModuleType
    network: type[nn.Module]
    config: type


def _of(file: ModuleType, network: type[nn.Module], config: type | None = None) -> Network:
    return Network(file, network, config or file.Config)


NETWORKS: dict[str, Network] = {
    "attentive": _of(attentive, attentive.Attentive),
    "srn": _of(srn, srn.SRN),
    "radn": _of(radn, radn.RADN),
    "simplenet": _of(simplenet, simplenet.SimpleNet),
    "srn_lgcr": _of(srn, simplenet.SRNWithLGCR),  # SimpleNet's Table 5
    "srn_pvb": _of(srn, simplenet.SRNWithPVB),
    "raidnet": _of(raidnet, raidnet.RAIDNet),
    "sgenet": _of(sgenet, sgenet.SGENet),
    "dmphn": _of(dmphn, dmphn.DMPHN),
    "dmphn_stack4": _of(dmphn, dmphn.StackDMPHN, dmphn.StackConfig),
    "mscnn": _of(mscnn, mscnn.MSCNN),
    "pss_nsc": _of(pss_nsc, pss_nsc.PSSNSC),
    "deblurgan": _of(deblurgan, deblurgan.DeblurGAN),
    "deblurgan_v2": _of(deblurgan_v2, deblurgan_v2.DeblurGANv2),
    "deblurgan_v2_inception": _of(deblurgan_v2_inception, deblurgan_v2_inception.DeblurGANv2Inception),
    "dbgan": _of(dbgan, dbgan.DBGAN),
    "mprnet": _of(mprnet, mprnet.MPRNet),
    "mimounet": _of(mimounet, mimounet.MIMOUNet),
    "mimounet_plus": _of(mimounet, mimounet.MIMOUNetPlus, mimounet.PlusConfig),
    "mtrnn": _of(mtrnn, mtrnn.MTRNN),
    "dbn": _of(dbn, dbn.DBN),
    "svrnn": _of(svrnn, svrnn.SVRNN),
    "nafnet": _of(nafnet, nafnet.NAFNet),
    "nafnet_64": _of(nafnet, nafnet.NAFNet, nafnet.WideConfig),
    "maxim": _of(maxim, maxim.MAXIM),
}

PUBLISHED: dict[str, Published | str] = {}
"""Network -> what its project published, or why there is nothing to import."""

for _network in NETWORKS.values():
    PUBLISHED |= _network.file.PUBLISHED


def config(name: str, variant: str = "paper", **overrides: Any) -> Any:
    """The `Config` of a variant at paper size, with config fields overridden; unknown names raise."""
    entry = NETWORKS[_known(name, NETWORKS, "network")]
    differences = entry.file.VARIANTS[_known(variant, entry.file.VARIANTS, f"variant of {name}")]
    base = entry.config()
    for field in overrides:
        _known(field, base.__dataclass_fields__, f"config field of {name}")
    return replace(base, **{**differences, **overrides})


def build(name: str, variant: str = "paper", **overrides: Any) -> nn.Module:
    """A fresh network, e.g. `build("attentive", "table5_only_ca", widths=(8, 16, 32))`.

    Its forward takes the blurred image (N,3,H,W) in [0,1] and returns a tuple: index 0 the full-resolution restoration
    (unclamped), the rest what is supervised besides. A network of several `frames` takes them too, as channels.
    """
    settings = config(name, variant, **overrides)
    return NETWORKS[name].network(settings)


def frames(name: str) -> int:
    """How many frames of a video a network restores the middle one of; 1 for the others."""
    return getattr(config(name), "frames", 1)


def parts_of(network: nn.Module) -> dict[str, Part]:
    """The parts of its design that a network has, by name, see `deblur.models.parts`.

    Raises:
        ValueError: if it is none of `NETWORKS`.
    """
    for entry in NETWORKS.values():
        if type(network) is entry.network:
            return present(network, entry.file.PARTS)
    raise ValueError(f"{type(network).__name__} is no network of this package; give its parts")


def load_pretrained(name: str, network: nn.Module, path: Path) -> None:
    """Load the pre-trained weights that a paper starts from into its fresh network.

    Raises:
        ValueError: if the paper starts from none; the network's own loader raises for a wrong file.
    """
    module = NETWORKS[_known(name, NETWORKS, "network")].file
    if not hasattr(module, "load_pretrained"):
        raise ValueError(f"{name} starts from random weights; leave out the pre-trained ones ({path})")
    module.load_pretrained(network, path)


def _known(name: str, known: Iterable[str], what: str) -> str:
    if name not in known:
        raise unknown(what, name, known)
    return name
