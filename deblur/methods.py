"""What the papers' tables call a method, and which network of this package that is."""

NETWORK_OF = {
    # Scale-recurrent network
    "SRN": "srn",
    "SRNet": "srn",
    "Tao et al. (SRN)": "srn",
    "SRN + LGCR": "srn_lgcr",
    "SRN + PVB": "srn_pvb",
    # Nah et al. 2017
    "Nah et al.": "mscnn",
    "MSCNN": "mscnn",
    "DeepBlur": "mscnn",
    # Gao et al. 2019
    "Gao et al.": "pss_nsc",
    "Gao et al. (PSS-NSC)": "pss_nsc",
    "PSS-SRN": "pss_nsc",
    "PNN+NSC": "pss_nsc",
    "Nested": "pss_nsc",
    # Zhang et al. 2019
    "DMPHN": "dmphn",
    "Zhang et al. (DMPHN)": "dmphn",  # by its size; accuracy and runtime printed there are the stack's
    "DMPHN(4)": "dmphn_stack4",
    "Stack(4)-DMPHN": "dmphn_stack4",
    # Zhang et al. 2018
    "Zhang et al.": "svrnn",
    "SVRNN": "svrnn",
    # Kupyn et al. 2018, 2019
    "DeblurGAN": "deblurgan",
    "DeblurGAN-v2": "deblurgan_v2_inception",
    "DeblurGANv2": "deblurgan_v2_inception",
    "Kupyn et al. (DeblurGAN-v2)": "deblurgan_v2_inception",  # by its accuracy; the size printed there is MobileNetV2's
    # Zhang et al. 2020
    "DBGAN": "dbgan",
    "Zhang et al. (Realistic Blurring)": "dbgan",
    # Park et al. 2020
    "MT-RNN": "mtrnn",
    "Park et al. (MT-RNN)": "mtrnn",
    # 2021
    "MPRNet": "mprnet",
    "MIMO-UNet": "mimounet_plus",  # accuracy and size printed for it are those of MIMO-UNet+
}
"""Method as tables print it -> network. Rows marked `+` or `*` are trained on other data, see `ELSEWHERE`."""

NETWORK_IN = {("sgenet", "DMPHN"): "dmphn_stack4"}
"""Paper and method -> network, where a paper means another one than `NETWORK_OF` says: by its accuracy and size."""

ELSEWHERE = {
    ("attentive", "Ours+"): ("attentive", ("dvd",)),
    ("attentive", "SRN+"): ("srn", ("dvd",)),
    ("attentive", "DMPHN+"): ("dmphn", ("dvd",)),
    ("attentive", "Su et al. +"): ("dbn", ("dvd",)),
    ("raidnet", "SRNet*"): ("srn", ("realblur", "gopro")),
    ("raidnet", "DeblurGANv2*"): ("deblurgan_v2_inception", ("realblur", "gopro")),
}
"""Paper and method -> network and the benchmarks that it is trained on, where these are not what the paper's other rows
are trained on. BSD-B, which RAID-Net's `*` rows have too, is missing: it is no benchmark of this package."""

UNLEARNT = {("attentive", "WFA"), ("attentive", "WFA+")}
"""Paper and method, where the method is at hand and learns nothing."""


def network_of(paper: str, method: str) -> str | None:
    """The network that a paper means by a method."""
    return NETWORK_IN.get((paper, method), NETWORK_OF.get(method))
