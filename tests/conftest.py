"""Shared by all tests: nothing is written into the checkout, and one thread computes."""

import atexit
import os
import shutil
import sys
import tempfile

import pytest
import torch

# Before any test module asks for a path. The bundled benchmark stays in its own cache: it is made once and checked.
_SCRATCH = tempfile.mkdtemp(prefix="deblur-tests-")
atexit.register(shutil.rmtree, _SCRATCH, ignore_errors=True)
os.environ["DEBLUR_RUNS"] = os.path.join(_SCRATCH, "runs")
os.environ["DEBLUR_PHOTOS"] = os.path.join(_SCRATCH, "photos")
_OWN_IMPORTED = os.environ.get("DEBLUR_IMPORTED", "")
os.environ["DEBLUR_IMPORTED"] = os.path.join(_SCRATCH, "imported")
os.environ["DEBLUR_RESULTS"] = os.path.join(_SCRATCH, "results")
os.environ["OMP_NUM_THREADS"] = "1"  # for what tests start
torch.set_num_threads(1)


@pytest.fixture
def own_imported(monkeypatch):
    """The user's own imported weights, which tests else never see."""
    monkeypatch.setenv("DEBLUR_IMPORTED", _OWN_IMPORTED)  # empty counts as unset


def pytest_runtest_setup():
    """Batches that another test made, perhaps by code that it changed, serve nobody."""
    if loading := sys.modules.get("deblur.data.loading"):
        loading._made.cache_clear()


def pytest_addoption(parser):
    parser.addoption("--device", default="cuda", help="what tests/test_cuda.py compares with the CPU (default: cuda)")


@pytest.fixture(scope="session")
def mini_root():
    """The bundled GoPro copy."""
    from deblur.data import bundled

    return bundled.ensure("mini-gopro")


def redraw(network, seed=0):
    """Redraw every parameter at random, scaled by fan-in: zero-initialised tails would hide errors."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            fan_in = max(parameter[0].numel(), 1) if parameter.dim() > 1 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
    return network
