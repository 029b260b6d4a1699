"""SGENet's figures: the drawn framework is the traced network, numbers are checked, pixels are looked at."""

import numpy as np
import pytest
import torch
from matplotlib import pyplot
from torch import fx, nn

from deblur import losses
from deblur.evaluation import complexity, probes
from deblur.figures import sgenet as draw
from deblur.models import sgenet
from deblur.models.layers import pad_to_multiple

RNG = np.random.default_rng(11)
WIDTHS = (3, 6, 9)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


def photograph(height=36, width=60):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def network():
    return complexity.on_meta("sgenet", widths=WIDTHS)


class Tracer(fx.Tracer):
    """Sees the parts that Fig. 1 draws as one box each."""

    def is_leaf_module(self, module, name):
        return not isinstance(module, sgenet.Stage)


def traced_edges(network):
    """Who feeds whom among the parts, whatever lies between them."""
    tracer = Tracer(autowrap_functions=(pad_to_multiple,))
    sources, edges = {}, set()
    for node in tracer.trace(network).nodes:
        before = {origin for argument in node.all_input_nodes for origin in sources[argument]}
        if node.op == "call_module":
            edges |= {(origin, node.target) for origin in before}
            sources[node] = {node.target}
        elif node.op == "call_function" and "getitem" in node.name and node.args[1] == 1:
            sources[node] = set()  # the predicted image of a CEM or of SAM leaves the graph of features
        else:
            sources[node] = before
    return edges


def test_the_drawn_framework_is_the_traced_network(network):
    places, edges = draw.framework()
    assert set(edges) == traced_edges(network)
    assert len(edges) == len(set(edges))
    assert {name for edge in edges for name in edge} == set(places)
    assert len(set(places.values())) == len(places)


def test_figure_1_labels_every_module_with_its_shape(network):
    figure = draw.figure1(complexity.layer_table(network, depth=5))
    texts = [text.get_text() for text in figure.axes[0].texts]
    for label in ("E3\n3x256x256", "CSAM2\n6x128x128", "CEM1\n9x64x64", "SAM\n3x256x256", "tail\n3x256x256"):
        assert label in texts
    places, edges = draw.framework()
    assert len(figure.axes[0].patches) == len(places)
    assert sum(not text for text in texts) == len(edges)
    with pytest.raises(ValueError, match=r"sam.*two stages"):
        draw.figure1(complexity.layer_table(complexity.on_meta("sgenet", "single_stage", widths=WIDTHS), depth=5))


def test_figures_2_and_3_are_traced(network):
    features, image = (torch.empty(1, c, 8, 8, device="meta") for c in (WIDTHS[0], 3))
    stage = network.stages[1]
    cem = probes.graph(stage.cem[0], features, image, features)
    csam = probes.graph(stage.csam[0], features, features, features, leaves=(nn.Sequential,))
    assert {"fuse", "residual", "attention_1"} <= set(cem[0])
    assert ("residual", "residual_features") in cem[1]
    assert [name for name in csam[0] if name.startswith("mlps")] == ["mlps_0", "mlps_1", "mlps_2"]
    for figure, graph in ((draw.figure2(cem), cem), (draw.figure3(csam), csam)):
        assert len(figure.axes[0].patches) == len(graph[0])


def test_figures_2_and_3_name_what_the_paper_names(network):
    """Each symbol is at the step whose tensor it is: shapes and edges are the traced ones."""

    def feeds(graph, words):
        nodes, edges = draw.worded(graph, words)
        symbols = {name: label.splitlines()[0].rstrip(":") for name, label in nodes.items()}
        return nodes, {(symbols[start], symbols[end]) for start, end in edges}

    features, image = (torch.empty(1, c, 8, 8, device="meta") for c in (WIDTHS[0], 3))
    stage = network.stages[1]
    nodes, edges = feeds(probes.graph(stage.cem[0], features, image, features), draw.CEM)
    assert nodes["residual"] == "R:\nresidual\n3x8x8"
    assert {("F", "join"), ("M", "R"), ("R", "I"), ("D", "I"), ("R", "F_r"), ("A", "refined")} <= edges
    csam = probes.graph(stage.csam[0], features, features, features, leaves=(nn.Sequential,))
    nodes, edges = feeds(csam, draw.CSAM)
    assert {(f"F{i}", f"Y{i}") for i in (1, 2, 3)} | {("F_sem", "w"), ("w", "z1"), ("a1, a2, a3", "Y2")} <= {
        (start.replace("\xa0", " "), end) for start, end in edges
    }


def test_figure_3s_bars_are_means():
    weights = {scale: RNG.dirichlet((1, 2, 3), (4, 6)).transpose(0, 2, 1) for scale in ("full", "half")}
    axis = draw.figure3_weights(weights).axes[0]
    heights = [bar.get_height() for bar in axis.patches]
    expected = [found[:, i].mean() for i in range(3) for found in weights.values()]
    np.testing.assert_allclose(heights, expected)


def test_zooms_cut_all_methods_at_the_same_place():
    sharp = photograph()
    blurred = sharp.copy()
    blurred[24:30, 44:52] ^= 255
    case = {"blurred": blurred, "ours": photograph(), "sharp": sharp}
    cells, labels = draw.zooms(case, {"blurred": 20.0, "ours": 30.126}, columns=3)
    assert [len(row) for row in cells] == [3, 3]
    assert labels[0] == ["blurred, whole", "sharp", "blurred, 20.00 dB"]
    assert labels[1] == ["ours, 30.13 dB", "", ""]
    assert cells[1][1] is None
    box = np.argwhere((cells[0][0] == (255, 0, 0)).all(-1) & (cells[0][0] != blurred).any(-1))
    y, x = box.min(0) + 1  # the line is two pixels wide, the outer one outside
    assert y <= 24
    assert y + 12 >= 30
    for cell, name in ((cells[0][1], "sharp"), (cells[0][2], "blurred"), (cells[1][0], "ours")):
        np.testing.assert_array_equal(cell[::3, ::3], case[name][y : y + 12, x : x + 20])


def test_figures_4_and_5_show_all_methods():
    case = {"blurred": photograph(), "A": photograph(), "B": photograph(), "sharp": photograph()}
    scores = {"blurred": 20.0, "A": 21.0, "B": 22.0}
    figure = draw.figure4([case, case], [scores, scores])
    assert [axis.get_xlabel() for axis in figure.axes][:5] == [
        "blurred, whole",
        "sharp",
        "blurred, 20.00 dB",
        "A, 21.00 dB",
        "B, 22.00 dB",
    ]
    assert len(draw.figure5([case], [scores]).axes) == 2 * 4


def test_a_bounded_map_ignores_extremes():
    shown = draw.bounded(np.linspace(0, 1, 1000).reshape(20, 50))
    assert shown.range == pytest.approx((0.01, 0.99))
    assert draw.bounded(np.full((3, 4), 7.0)).silent


def test_figure_6_has_a_column_a_scale_cut_at_one_place():
    full = {name: RNG.random((24, 40, 3)) / 9 for name in ("input", "predicted", "sharp")}
    full |= {name: RNG.random((24, 40)) for name in ("before", "attention", "after", "without")}
    full["sharp"][20, 36] += 8
    half = {name: values[::2, ::2] for name, values in full.items()}
    axes = [axis for axis in draw.figure6({"full": full, "half": half}).axes if axis.images]
    assert len(axes) == 2 * len(draw.ROWS6)
    assert [axis.get_ylabel() for axis in axes[::2]] == list(draw.ROWS6.values())
    left, right = ([axis.images[0].get_array() for axis in axes[i::2]] for i in range(2))
    np.testing.assert_array_equal(left[4], full["predicted"][12:, 20:])
    np.testing.assert_array_equal(right[4], half["predicted"][6:, 10:])
    np.testing.assert_array_equal(right[2], half["attention"][6:, 10:])


def test_edge_correlations():
    sharp = RNG.normal(size=(3, 20, 30))
    noise = RNG.normal(size=sharp.shape)
    good = {"input": noise, "predicted": -2 * sharp, "sharp": sharp}  # magnitudes count, not signs or sizes
    bad = {"input": sharp, "predicted": noise, "sharp": sharp}
    assert draw.edge_correlations([good])["r_predicted"] == pytest.approx(1)
    assert abs(draw.edge_correlations([good])["r_input"]) < 0.1
    both = draw.edge_correlations([good, bad, bad])
    assert both["images_better"] == pytest.approx(1 / 3)
    assert both["r_predicted"] == pytest.approx((1 + 2 * draw.edge_correlations([bad])["r_predicted"]) / 3)


def test_a_sharper_prediction_has_the_better_edges():
    """The statistic on a photograph that is blurred twice."""
    import cv2
    from skimage import data

    sharp = data.coffee()[100:200, 200:350].astype(np.float64) / 255
    images = {
        "sharp": sharp,
        "predicted": cv2.GaussianBlur(sharp, (0, 0), 1),
        "input": cv2.GaussianBlur(sharp, (0, 0), 3),
    }
    edges = {
        name: losses.laplacian(torch.from_numpy(image).permute(2, 0, 1)[None])[0].numpy()
        for name, image in images.items()
    }
    found = draw.edge_correlations([edges])
    assert 0 < found["r_input"] < found["r_predicted"] < 1
    assert found["images_better"] == 1
