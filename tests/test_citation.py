"""CITATION.cff against what the Citation File Format 1.2.0 requires, and against the package."""

import tomllib

import yaml

from deblur import __version__, notebooks, paths

CITATION = yaml.safe_load((paths.project_root() / "CITATION.cff").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((paths.project_root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PERSON = {"family-names", "given-names", "name-particle", "name-suffix", "affiliation", "orcid", "email", "alias"}
ENTITY = {"name", "website", "email", "orcid"}
WORDS = ("Attentive", "Region-Adaptive Dense", "Light Global Context", "SGENet", "RAID-Net")


def test_it_has_what_the_format_requires():
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION.keys() >= {"message", "title", "authors"}
    assert CITATION["type"] in ("software", "dataset")
    for work in (CITATION, *CITATION["references"]):
        assert work["title"]
        assert work["authors"]
        for author in work["authors"]:
            assert (author.keys() <= ENTITY and author["name"]) if "name" in author else author.keys() <= PERSON
    for reference in CITATION["references"]:
        assert reference["type"] in ("article", "conference-paper")
        assert isinstance(reference.get("year", 2000), int)
        assert reference["type"] == "article" or reference["conference"]["name"]


def test_it_is_about_this_package_and_names_each_paper_once():
    assert CITATION["version"] == __version__
    assert CITATION["license"] == PROJECT["license"]
    titles = [reference["title"] for reference in CITATION["references"]]
    assert len(titles) == len(notebooks.PAPERS)
    for word in WORDS:
        assert sum(word in title for title in titles) == 1, word
