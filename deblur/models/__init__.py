"""The networks: one file a paper, one a baseline, one entry `build`."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from deblur.models import (
    attentive,
    dbgan,
    deblurgan,
    deblurgan_v2,
    dmphn,
    dmphn_stack4,
    mimounet,
    mimounet_plus,
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
)

NETWORKS: dict[str, tuple[ModuleType, type[nn.Module]]] = {
    "attentive": (attentive, attentive.Attentive),
    "srn": (srn, srn.SRN),
    "radn": (radn, radn.RADN),
    "simplenet": (simplenet, simplenet.SimpleNet),
    "srn_lgcr": (srn, simplenet.SRNWithLGCR),  # SimpleNet's Table 5
    "srn_pvb": (srn, simplenet.SRNWithPVB),
    "raidnet": (raidnet, raidnet.RAIDNet),
    "sgenet": (sgenet, sgenet.SGENet),
    "dmphn": (dmphn, dmphn.DMPHN),
    "dmphn_stack4": (dmphn_stack4, dmphn_stack4.StackDMPHN),
    "mscnn": (mscnn, mscnn.MSCNN),
    "pss_nsc": (pss_nsc, pss_nsc.PSSNSC),
    "deblurgan": (deblurgan, deblurgan.DeblurGAN),
    "deblurgan_v2": (deblurgan_v2, deblurgan_v2.DeblurGANv2),
    "dbgan": (dbgan, dbgan.DBGAN),
    "mprnet": (mprnet, mprnet.MPRNet),
    "mimounet": (mimounet, mimounet.MIMOUNet),
    "mimounet_plus": (mimounet_plus, mimounet_plus.MIMOUNetPlus),
    "mtrnn": (mtrnn, mtrnn.MTRNN),
    "nafnet": (nafnet, nafnet.NAFNet),
}
"""Name -> (file that holds its `Config` and `VARIANTS`, its network)."""


def config(name: str, variant: str = "paper", **overrides: Any) -> Any:
    """The `Config` of a variant at paper size, with config fields overridden; unknown names raise."""
    module = NETWORKS[_known(name, NETWORKS, "network")][0]
    differences = module.VARIANTS[_known(variant, module.VARIANTS, f"variant of {name}")]
    base = module.Config()
    for field in overrides:
        _known(field, base.__dataclass_fields__, f"config field of {name}")
    return replace(base, **{**differences, **overrides})


def build(name: str, variant: str = "paper", **overrides: Any) -> nn.Module:
    """A fresh network, e.g. `build("attentive", "table5_only_ca", widths=(8, 16, 32))`.

    Its forward takes the blurred image (N,3,H,W) in [0,1] and returns a tuple: index 0 the full-resolution restoration
    (unclamped), the rest what is supervised besides.
    """
    settings = config(name, variant, **overrides)
    return NETWORKS[name][1](settings)


def load_pretrained(name: str, network: nn.Module, path: Path) -> None:
    """Load the pre-trained weights that a paper starts from into its fresh network.

    Raises:
        ValueError: if the paper starts from none; the network's own loader raises for a wrong file.
    """
    module = NETWORKS[_known(name, NETWORKS, "network")][0]
    if not hasattr(module, "load_pretrained"):
        raise ValueError(f"{name} starts from random weights; leave out the pre-trained ones ({path})")
    module.load_pretrained(network, path)


def _known(name: str, known: Iterable[str], what: str) -> str:
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}; choose one of {', '.join(known)}")
    return name
