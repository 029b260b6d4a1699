"""Tables in words: headers, numbers, and the same sheet as HTML and as LaTeX."""

import re

import numpy as np
import pandas as pd
import pytest

from deblur import columns, paths, tables


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("psnr_db_printed", "PSNR printed, dB"),
        ("hide_gain_db_measured", "HIDE gain measured, dB"),
        ("realblur_j_ssim_printed", "RealBlur-J SSIM printed"),
        ("gain_db_sampling_measured", "gain, sampling measured, dB"),
        ("nafnet_authors_gain_db", "nafnet, its authors' weights, dB"),
        ("trained_parameters", "parameters as trained"),
        ("method", "method"),
        ("stage-1 encoder", "stage-1 encoder"),
    ],
)
def test_a_header_is_in_words_with_its_unit(name, words):
    assert columns.header(name) == words


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("psnr_db", 28.5049, "28.50"),
        ("gain_db", 1.005001, "+1.01"),
        ("gain_db", -0.004, "0.00"),
        ("gain_db", 0.004, "0.00"),
        ("delta_db_measured", -0.006, "-0.01"),
        ("parameters", 6905527, "6,905,527"),
        ("steps", 130.0, "130"),
        ("gmacs_720p", 12345.6, "12,346"),
        ("ssim_printed", "0.9410", "0.9410"),
        ("psnr_db", np.nan, ""),
        ("note", None, ""),
        ("has_pvb", np.True_, "yes"),
        ("anything", 0.00001234, "1.23e-05"),
        ("anything", 1234567, "1,234,567"),
        ("condition", 3141590.5, "3.14e+06"),
    ],
)
def test_a_number_is_rounded_by_its_unit(name, value, text):
    assert columns.texts(name, [value]) == [text]


def test_no_two_columns_of_a_committed_table_have_one_header():
    for path in paths.results_dir().glob("*/*/tables/*.csv"):
        names = pd.read_csv(path).columns
        assert len({columns.header(name) for name in names}) == len(names), path
        assert not [name for name in names if "_" in columns.header(name)], path


def test_a_sheet_leaves_out_what_is_empty_and_puts_numbers_right():
    table = pd.DataFrame(
        {"method": ["a", "b"], "psnr_db_printed": ["30.1", ""], "ssim": [np.nan] * 2, "steps": [1, 2000]}
    )
    sheet = tables.sheet(table, "above")
    assert sheet.cells.to_dict("list") == {
        "method": ["a", "b"],
        "PSNR printed, dB": ["30.1", ""],
        "steps": ["1", "2,000"],
    }
    assert sheet.numbers == ["PSNR printed, dB", "steps"]
    html = tables.show(table, "above").to_html()
    right = re.findall(r"#T_\w+?_row0_col(\d)[^{]*{\s*text-align: right", html)
    assert right == ["1"]  # the first of the columns that the rule names: 1 and 2
    assert "row0_col2" in re.search(r"([^}]*){\s*text-align: right", html)[1]


def test_any_sheet_is_written_for_a_paper():
    table = pd.DataFrame({"method": ["a_1 & b", "c < d"], "proportion_pct": [12.34, 5], "parameters": [1000, 2]})
    text = tables.latex(table, "50 % of {x}")
    assert text.splitlines() == [
        r"\begin{table}",
        r"\caption{50 \% of \{x\}}",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"method & share, \% & parameters at paper size \\",
        r"\midrule",
        r"a\_1 \& b & 12.3 & 1,000 \\",
        r"c \textless{} d & 5.0 & 2 \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def test_what_learnt_nothing_is_not_tested():
    """A difference counts where the better of its networks gains more than the floor: 1.0 and 0.9 do not, 1.1 does."""
    rows = {"serial-cascade": {"psnr_db": 28.0, "gain_db": 0.9}, "parallel-concat": {"psnr_db": 28.1, "gain_db": 1.0}}
    rows |= {"parallel-addition": {"psnr_db": 27.8, "gain_db": 1.1}}
    table = tables.beside_printed("attentive", 6, rows, "serial-cascade", floor_db=1.05)
    cells = tables.sheet(table, "").cells.set_index("method")["difference measured, dB"]
    assert cells.to_dict() == {
        "parallel-concat": "not tested",
        "parallel-addition": "-0.20",
        "serial-cascade": "0.00",
    }
    compared = tables.agreement({6: table})
    assert compared.set_index("method")["same_sign"].to_dict() == {
        "parallel-concat": "not tested",
        "parallel-addition": True,
    }
    said = tables.agreed(compared, 130)
    assert said.startswith(
        "1 of the 1 differences that were tested have the printed sign; 1 are *not tested*: after 130"
    )
    whole = tables.agreement({6: tables.beside_printed("attentive", 6, rows, "serial-cascade")})
    assert whole["same_sign"].tolist() == [False, True]  # printed: both worse
    assert tables.agreed(whole, 130).startswith("1 of the 2 differences that were tested have the printed sign. One")


@pytest.mark.parametrize(("floor", "counts"), [(1.0, [False, True]), (0.7, [True, True]), (None, [True, True])])
def test_one_of_the_two_must_have_learnt(floor, counts):
    assert tables.tested(pd.Series([0.5, 1.5]), 0.8, floor).tolist() == counts


def test_a_loaded_machine_is_said_in_the_cell():
    rows = {"LGCR": {"runtime_ms": 5.4, "runtime_device": "CPU"}, "TGM+TRM": {"runtime_device": "not timed: loaded"}}
    cells = tables.sheet(tables.beside_printed("simplenet", 6, rows), "").cells
    assert cells.set_index(cells.columns[0])["runtime measured, ms"].to_dict() == {
        "Non-Local": "",
        "TGM+TRM": "not timed: loaded",
        "LGCR": "5",
    }
