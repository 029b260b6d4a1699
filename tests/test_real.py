"""Real pairs, if somebody has some: every network at hand is scored on the folder `DEBLUR_REAL`.

It holds pairs `NAME_blur.png` and `NAME_sharp.png`; none is part of this project. Networks with the authors' weights,
which saw such blur, must gain; of ours it is said what they do (`pytest -s`).
"""

import os
from pathlib import Path

import pytest

from deblur.data.official import read_image
from deblur.evaluation import metrics
from deblur.photos.restoration import restore
from deblur.weights import released

FOLDER = os.environ.get("DEBLUR_REAL", "")
PAIRS = [
    (file, file.with_name(file.name.replace("_blur", "_sharp"))) for file in sorted(Path(FOLDER).glob("*_blur.png"))
]


@pytest.mark.skipif(not FOLDER, reason="DEBLUR_REAL names no folder of real pairs")
@pytest.mark.usefixtures("own_imported")
def test_every_network_on_real_pairs():
    assert PAIRS, f"{FOLDER} holds no NAME_blur.png"
    for blurred_file, sharp_file in PAIRS:
        blurred, sharp = read_image(blurred_file), read_image(sharp_file)
        before = metrics.psnr_db(blurred, sharp)
        print(f"\n{blurred_file.name}: blurred {before:.2f} dB")
        for file, card in released.at_hand().items():
            after = metrics.psnr_db(restore(blurred, file), sharp)
            print(f"{file.stem:24} {after:.2f} dB")
            assert after > before or not card.imported, file
