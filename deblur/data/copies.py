"""A copy of a benchmark on disk, opened by name."""

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from deblur import paths
from deblur.data import bundled, content, official


@dataclass(frozen=True)
class Data:
    """A benchmark on disk: its name, root, the subset read from it, and a fingerprint of its content.

    Attributes:
        bundled: the scale that this copy is bundled for, `mini` or `bench`; empty for somebody's own copy.
        study: whether it is the study exam, a GoPro tree of test pairs alone.
        more: other copies, whose training pairs are added to its own, see `united`.
    """

    name: str
    root: Path
    subset: str
    fingerprint: str
    bundled: str = ""
    study: bool = False
    more: tuple["Data", ...] = ()

    def pairs(self, split: str, limit: int | None = None) -> list[official.Pair]:
        """Pairs of a split; `limit` takes so many, spread over sequences and over kinds of blur."""
        choices = {"subset": self.subset} if self.subset else {}
        pairs = official.find_pairs(self.name, self.root, split, **choices)
        if split == "train":
            pairs = [*pairs, *(pair for data in self.more for pair in data.pairs(split))]
        if limit is None or limit >= len(pairs):
            return pairs
        starts = [i * len(pairs) // limit for i in range(limit + 1)]
        spread, shown = [], Counter[str]()
        for i, (start, stop) in enumerate(pairwise(starts)):
            first = i % (stop - start)  # another place in every part: the first of each may look alike
            part = pairs[start + first : stop] + pairs[start : start + first]
            spread.append(min(part, key=lambda pair: shown[official.read_kind(pair)]))
            shown[official.read_kind(spread[-1])] += 1
        return spread

    def validation(self, limit: int | None = None) -> list[official.Pair]:
        """The validation split, empty where the benchmark has none (the papers watch none either)."""
        watched = self.bundled and self.name == "gopro" and not self.study
        return self.pairs("validation", limit) if watched else []

    @property
    def is_video(self) -> bool:
        """Whether the images of a sequence are the frames of a video, in order; the bundled GoPro's are not."""
        return self.name == "dvd" or (self.name == "gopro" and not self.bundled)

    def packed(self, split: str = "train") -> Path:
        """Where `deblur data pack` puts a split, and where training looks for it."""
        return paths.data_dir() / "packed" / self.fingerprint / f"{self.name}-{self.subset or 'plain'}-{split}"

    @property
    def label(self) -> str:
        """The name for tables, e.g. `mini gopro (blur)`."""
        name = "exam" if self.study else self.name
        own = f"{self.bundled} {name}".strip() + (f" ({self.subset})" if self.subset else "")
        return " + ".join([own, *(data.label for data in self.more)])


def open_data(root: str | Path = "", subset: str = "blur", name: str = "gopro", scale: str = "mini") -> Data:
    """The benchmark at `root`, or the bundled one (written now if need be) when no root is given.

    Args:
        subset: of GoPro, `blur` or `blur_gamma`; the other benchmarks have none.
        scale: `bench` takes the bundled GoPro with blur of full size.
    """
    root = Path(root).expanduser() if root else bundled.ensure(bundled.named(name, scale))
    subset = subset if name == "gopro" else ""
    manifest = content.manifest(root)
    if "generator" in manifest:  # a tree of somebody's own pictures (`deblur data synthesize`) has none
        if "copy" not in manifest:
            remedy = "write it again with deblur data bundled"
            raise official.DataError(official.fault(root, "was written by an earlier version", remedy))
        scale, _, what = manifest["copy"].partition("-")
        return Data(name, root, subset, content.fingerprint(root, manifest), scale, what == "exam")
    data = Data(name, root, subset, "")
    splits = ("test",) if name in ("koehler", "rwbi") else ("train", "test")
    pairs = [pair for split in splits for pair in data.pairs(split)]
    hashes = content.hashes(root, (file for pair in pairs for file in pair.files))
    listing = [(pair.name, [hashes[file.relative_to(root).as_posix()] for file in pair.files]) for pair in pairs]
    return replace(data, fingerprint=content.digest(listing))


def united(data: Data, *more: Data) -> Data:
    """A benchmark to train on together with others; it keeps its own test split."""
    if not more:
        return data
    return replace(data, more=more, fingerprint=content.digest([data.fingerprint, *(d.fingerprint for d in more)]))


def open_exam(scale: str, subset: str = "blur") -> Data:
    """The study exam at `mini` or `bench`, written now if need be, see `study`.

    Raises:
        DataError: if its photographs cannot be had.
    """
    return open_data(bundled.ensure(f"{scale}-exam"), subset)


def open_companion(data: Data, name: str) -> Data | None:
    """Another benchmark beside `data`: the bundled one, or the folder `name` beside GOPRO_Large if there is one.

    There is none beside the bundled GoPro of `bench`: the other bundled copies have the short blur of `mini`.
    """
    if data.bundled:
        return open_data(name=name) if data.bundled == "mini" else None
    root = (data.root.parent if data.root.name == "GOPRO_Large" else data.root) / name
    return open_data(root, name=name) if root.is_dir() else None
