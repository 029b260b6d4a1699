"""Tables: what is frozen stays frozen, what is joined is joined by name, and nothing is compared that must not be."""

import hashlib
import json
import re

import pandas as pd
import pytest

from deblur import methods, models, paths, tables

PRINTED = {
    "attentive/table1.csv": "93a1f5d9983bdc41",
    "attentive/table2.csv": "d7009d12f504bd08",
    "attentive/table3.csv": "51d15523f0d6b69d",
    "attentive/table4.csv": "3b6748d1f78206a3",
    "attentive/table5.csv": "afa102029102fdba",
    "attentive/table6.csv": "0ac5f75f2d281a12",
    "attentive/table7.csv": "a273969b569d69e0",
    "simplenet/table1.csv": "d0c8c2dc4bc458fc",
    "simplenet/table2.csv": "63e5d6d0111dbe48",
    "simplenet/table3.csv": "e1b781fc30d12e5d",
    "simplenet/table4.csv": "ede094c3252906df",
    "simplenet/table5.csv": "fbc9baac3c4b1ea6",
    "simplenet/table6.csv": "4d91b777cc4b1510",
    "raidnet/table1.csv": "a98582e8d3491a79",
    "raidnet/table2.csv": "be8a5818c4ea6cb6",
    "raidnet/table3.csv": "be4061d22643fad4",
    "raidnet/table4.csv": "1d5d534612dd480f",
    "raidnet/table5.csv": "3872e362e0599a89",
    "radn/table1.csv": "5478af9b8bfc1556",
    "radn/table2.csv": "dbd7be353c3c656e",
    "sgenet/table1.csv": "a9181ea23ce5340b",
    "unmeasured.csv": "fc72208ce88115f7",
    "comparison/sizes.csv": "6126d4c0b031ccc7",
}


def test_printed_tables_are_frozen():
    found = {
        path.relative_to(paths.printed_dir()).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in paths.printed_dir().rglob("*.csv")
        if path.stem not in ("claims", "contrasts", "probes")  # see test_claims
    }
    assert found == PRINTED


def test_printed_keeps_trailing_zeros_and_blanks():
    table = tables.printed("attentive", 1).set_index("method")
    assert table.loc["SRN", "psnr_db"] == "30.10"
    assert table.loc["Liu et al.", "ssim"] == ""


def test_printed_names_what_there_is():
    with pytest.raises(FileNotFoundError, match=r"attentive/table1\.csv"):
        tables.printed("attentive", 99)


def test_averages_of_table_3_are_the_means_of_its_videos():
    table = tables.printed("attentive", 3)
    videos = table[[column for column in table if re.match(r"v\d+_", column)]].astype(float)
    assert (videos.mean(axis=1) - table["average_psnr_db"].astype(float)).abs().max() <= 0.01


def test_side_by_side_joins_by_method():
    table = tables.beside_printed("attentive", 6, {"serial-cascade": {"psnr_db": 28.5, "gain_db": 1.0, "steps": 10}})
    rows = table.set_index("method")
    assert rows.loc["serial-cascade", ["psnr_db_printed", "psnr_db_measured", "steps"]].tolist() == ["31.23", 28.5, 10]
    assert rows.loc["serial-cascade", "note"] == ""
    assert pd.isna(rows.loc["parallel-concat", "psnr_db_measured"])
    assert rows.loc["parallel-concat", "note"] == tables.PENDING


def test_differences_are_to_the_reference_row_only():
    measured = {"serial-cascade": {"psnr_db": 28.5}, "parallel-concat": {"psnr_db": 28.75}}
    rows = tables.beside_printed("attentive", 6, measured, reference="serial-cascade").set_index("method")
    assert rows.loc["parallel-concat", "delta_db_printed"] == pytest.approx(31.14 - 31.23)
    assert rows.loc["parallel-concat", "delta_db_measured"] == pytest.approx(0.25)
    assert rows.loc["serial-cascade", ["delta_db_printed", "delta_db_measured"]].tolist() == [0, 0]
    # No column may hold the measured minus the printed value.
    assert not any("printed" in column and "measured" in column for column in rows)


def test_side_by_side_refuses_a_method_that_is_not_in_the_table():
    with pytest.raises(ValueError, match="nobody"):
        tables.beside_printed("attentive", 6, {"nobody": {"psnr_db": 1.0}})


def test_extra_rows_follow_the_printed_ones():
    rows = tables.beside_printed(
        "attentive",
        6,
        {"serial-cascade": {"psnr_db": 28.5, "steps": 10}},
        extra={"longer": {"psnr_db": 29, "steps": 90}},
    )
    assert rows["method"].tolist()[-1] == "longer"
    assert len(rows) == len(tables.printed("attentive", 6)) + 1
    last = rows.iloc[-1]
    assert (last["psnr_db_measured"], last["steps"], last["note"]) == (29, 90, tables.OURS)
    assert pd.isna(last["psnr_db_printed"])


def test_a_training_at_or_below_the_floor_has_learnt_nothing_and_its_row_says_so():
    trained = {"serial-cascade": {"gain_db": 1.25, "steps": 10}, "parallel-concat": {"gain_db": 1.0, "steps": 10}}
    bound = {"Wiener floor": {"gain_db": 1.0}}
    table = tables.beside_printed("attentive", 6, trained, extra=bound, floor_db=1.0)
    said = table.set_index("method")["learnt"].to_dict()
    assert (said.pop("serial-cascade"), said.pop("parallel-concat")) == (True, False)
    assert pd.isna(list(said.values())).all()  # what was not trained, and the floor itself
    shown = tables.sheet(table, "").cells
    gains = dict(zip(table["method"], shown["gain measured, dB"], strict=True))
    assert gains["serial-cascade"] == "+1.25"
    assert gains["parallel-concat"] == "+1.00, nothing learnt"
    assert gains["Wiener floor"] == "+1.00"
    assert "learnt" not in tables.beside_printed("attentive", 6, trained, extra=bound)


def test_agreement_counts_signs_and_leaves_out_the_reference_and_what_was_not_measured():
    measured = {"serial-cascade": {"psnr_db": 28.5}, "parallel-concat": {"psnr_db": 28.75}}
    table = tables.beside_printed("attentive", 6, measured, reference="serial-cascade")
    found = tables.agreement({6: table, 7: table.assign(delta_db_measured=-table["delta_db_measured"])})
    assert found["method"].tolist() == ["parallel-concat"] * 2
    assert found["table"].tolist() == [6, 7]
    assert found["same_sign"].tolist() == [False, True]
    vanishing = tables.agreement({6: table.assign(delta_db_measured=table["delta_db_measured"] * [-0.016, 1, 1])})
    assert vanishing["delta_db_measured"].round(4).tolist() == [-0.004]
    assert vanishing["same_sign"].tolist() == [False]


def test_a_stamp_that_varies_is_a_column_and_one_that_does_not_is_left_to_the_caption():
    table = pd.DataFrame({"method": ["a", "b"], "steps": [1, 2], "seed": [0, 0]})
    shown = tables.show(table, "").to_html()
    assert ">steps<" in shown
    assert ">seed<" not in shown


def test_side_by_side_marks_every_kind_of_value():
    """Memory, times, shares, and scores of several data sets: printed and measured stand in columns of their own."""
    found = {"memory_mib": 32.5, "runtime_ms": 1.5, "runtime_size": "3x180x180"}
    rows = tables.beside_printed("simplenet", 6, {"LGCR": found}).set_index("method")
    names = ["memory_mib_printed", "memory_mib_measured", "runtime_ms_printed", "runtime_ms_measured", "runtime_size"]
    assert rows.loc["LGCR", names].tolist() == ["34", 32.5, "0.466", 1.5, "3x180x180"]
    rows = tables.beside_printed("simplenet", 4, {"DRs": {"proportion_pct": 30.0}}).set_index("method")
    assert rows.loc["DRs", ["proportion_pct_printed", "proportion_pct_measured"]].tolist() == ["26.09", 30.0]
    table = tables.beside_printed("simplenet", 2, {"Ours": {"realblur_j_psnr_db": 27.0, "psnr_db": 28.0}})
    unmarked = [name for name in table if not name.endswith(("_printed", "_measured"))]
    assert unmarked == ["method", "citation", "note"]


def test_caption_says_where_numbers_come_from():
    rows = {
        "scale": "mini",
        "data": "mini gopro (blur)",
        "protocol": "full_rgb8",
        "steps": 7,
        "seed": 3,
        "device": "CPU",
    }
    table = tables.beside_printed("attentive", 6, {"serial-cascade": {"psnr_db": 28.5} | rows})
    caption = tables.caption(table)
    for word in ("mini gopro (blur)", "full_rgb8", "steps 7", "seed 3", "CPU"):
        assert word in caption
    assert "nothing yet" in tables.caption(tables.beside_printed("attentive", 2, {}))


def test_show_rounds_and_blanks():
    html = tables.show(
        tables.beside_printed("attentive", 6, {"serial-cascade": {"psnr_db": 28.5049}}), "a caption"
    ).to_html()
    assert "28.50" in html
    assert "nan" not in html.lower()
    assert "a caption" in html


def test_status_counts_rows_and_write_status_replaces_only_the_table(tmp_path, monkeypatch):
    monkeypatch.setenv("DEBLUR_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(paths, "project_root", lambda: tmp_path)
    folder = tmp_path / "results" / "mini" / "attentive"
    (folder / "tables").mkdir(parents=True)
    rows = {"psnr_db_printed": [1.0, 2.0, None], "psnr_db_measured": [1.0, None, 2.0]}  # the last is ours
    rows["runtime_ms_measured"] = [None, 3.0, 3.0]  # a time beside an empty main column makes no row live
    pd.DataFrame(rows).to_csv(folder / "tables" / "table1.csv")
    pd.DataFrame({"psnr_db_printed": [1.0], "ssim_measured": [None]}).to_csv(folder / "tables" / "table2.csv")
    pd.DataFrame({"equations_printed": ["n", "> n"], "rank": [1, 2]}).to_csv(folder / "tables" / "table3.csv")
    record = {"paper": "attentive", "scale": "mini", "data": {"name": "mini gopro"}, "gain_db": 1.234}
    (folder / "run.json").write_text(json.dumps(record | {"runs": [{"steps": 5, "device": "CPU, 1 threads"}]}))
    assert "| +1.23 dB | 5 | **3 / 5**: T1 1/2, T2 0/1, T3 2/2 |" in tables.status()
    assert "| all | mini | | | | **3 / 5** | |" in tables.status()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/status.md").write_text(f"above\n{tables.STATUS[0]}\nold\n{tables.STATUS[1]}\nbelow\n")
    tables.write_status()
    text = (tmp_path / "docs/status.md").read_text()
    assert text.startswith("above\n")
    assert text.endswith("\nbelow\n")
    assert "3 / 5" in text
    assert "old" not in text


def test_peers_are_the_printed_methods_that_have_a_network():
    everything = set(methods.NETWORK_OF.values())
    assert tables.peers("attentive", everything) == {
        "Nah et al.": "mscnn",
        "Zhang et al.": "svrnn",
        "SRN": "srn",
        "Gao et al.": "pss_nsc",
        "DMPHN": "dmphn",
        "DMPHN(4)": "dmphn_stack4",
    }
    assert tables.peers("attentive", {"srn", "nafnet"}) == {"SRN": "srn"}
    assert tables.peers("attentive", ()) == tables.peers("nobody", everything) == {}


def test_a_paper_may_mean_another_network_by_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "printed_dir", lambda: tmp_path)
    folder = tmp_path / "sgenet"
    folder.mkdir()
    (folder / "table1.csv").write_text("method,params_m\nDMPHN,21.7\nDBGAN,11.5\nSRN*,6.8\nSGENet,19.5\n")
    (folder / "table2.csv").write_text("module,runtime_ms\nSRN,1\n")
    assert tables.peers("sgenet", {"dmphn", "dmphn_stack4", "dbgan", "srn"}) == {
        "DMPHN": "dmphn_stack4",
        "DBGAN": "dbgan",
    }


def test_every_network_of_the_tables_is_built():
    assert {*methods.NETWORK_OF.values(), *methods.NETWORK_IN.values()} <= set(models.NETWORKS)


def test_rows_without_any_measurement_are_not_live(tmp_path):
    (tmp_path / "tables").mkdir()
    tables.beside_printed("attentive", 2, {}).to_csv(tmp_path / "tables/table2.csv", index=False)
    some = {"Ours": {"psnr_db": 30.0}, "SRN": {"psnr_db": 29.0}}
    tables.beside_printed("attentive", 1, some).to_csv(tmp_path / "tables/table1.csv", index=False)
    symbols = pd.DataFrame({"blur_type": ["a", "b"], "rank": [3, 4], "unknowns_printed": ["m", "> m"]})
    symbols.to_csv(tmp_path / "tables/table3.csv", index=False)
    printed = {number: len(tables.printed("attentive", number)) for number in (1, 2)}
    assert tables.rows_live(tmp_path) == {"table1": (2, printed[1]), "table2": (0, printed[2]), "table3": (2, 2)}


# ------------------------------------------------------------------------------------------------- which rows are live

PAPERS = ("attentive", "radn", "simplenet", "sgenet", "raidnet")
OURS = re.compile(r"(RADN\d|(Ours|RADN|RAID-Net|SGENet)\b.*)")
"""Methods of the five papers, in tables that hold others too."""
WHOLE = {"attentive": (4, 5, 6, 7), "radn": (2,), "simplenet": (3, 4, 5, 6), "raidnet": (1, 2)}
"""Tables of a paper's own variants and modules."""


def printed_rows():
    for paper in PAPERS:
        for path in sorted((paths.printed_dir() / paper).glob("table*.csv")):
            table = int(path.stem.removeprefix("table"))
            listed = pd.read_csv(path, dtype=str)
            for method in listed["method"] if "method" in listed else listed["blur_type"]:
                yield paper, table, method


def is_measured(paper, table, method):
    """Whether notebooks have what measures a row at mini: the main column of its table."""
    own = table in WHOLE.get(paper, ()) or OURS.fullmatch(method) or method == "Input"
    network = tables.trained_elsewhere(paper, table).get(method) or methods.network_of(paper, method)
    return bool(own or network in models.NETWORKS or (paper, method) in methods.UNLEARNT)


def test_of_131_printed_rows_118_are_live_and_13_have_a_reason():
    rows = [*printed_rows()]
    reasons = {(row.paper, row.table, row.method): row for row in tables.unmeasured().itertuples()}
    live = [row for row in rows if is_measured(*row) and row not in reasons]
    assert reasons.keys() <= {*rows}
    assert {*live, *reasons} == {*rows}
    assert (len(rows), len(live), len(reasons)) == (131, 118, 13)
    assert not [row for row in reasons if is_measured(*row) and row[2] != "RADN2"]  # which is a variant here
    for row in reasons.values():
        assert len(row.reason) > 10
        assert row.reference


def test_the_main_column_is_psnr_or_the_first_that_is_printed():
    expected = {
        ("attentive", 1): "psnr_db",
        ("attentive", 3): "average_psnr_db",
        ("raidnet", 3): "gopro_psnr_db",
        ("raidnet", 4): "realblur_j_psnr_db",
        ("raidnet", 5): "runtime_ms",
        ("simplenet", 2): "psnr_db",
        ("simplenet", 4): "runtime_ms",
        ("simplenet", 6): "memory_mib",
    }
    for (paper, number), name in expected.items():
        assert tables.main_column(tables.beside_printed(paper, number, {})) == f"{name}_measured"


def test_a_row_without_a_network_says_why():
    notes = tables.beside_printed("sgenet", 1, {}).set_index("method")["note"]
    assert notes["SAPHNet"].startswith("printed only: content-adaptive")
    assert notes["SRN"] == tables.PENDING
    starred = tables.beside_printed("raidnet", 4, {"DeblurGANv2*": {}, "SRNet*": {}}).set_index("method")["note"]
    assert starred["DeblurGANv2*"] == starred["SRNet*"] == ""


def test_rows_trained_elsewhere_are_no_peers():
    assert tables.trained_elsewhere("attentive", 3)["SRN+"] == "srn"
    assert tables.trained_elsewhere("attentive", 1) == {}
    for paper, method in methods.ELSEWHERE:
        assert method not in tables.peers(paper, models.NETWORKS)
