"""What the tests share. Real data that is not part of the repository is used where it is there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch and numpy load: tests run beside each other
os.environ.setdefault("TERM", "dumb")

import numpy
import pytest
from hypothesis import settings
from pymatgen.core import Lattice, Structure

# The gate tries the same examples each time: what landed yesterday does not fail today by a draw of numbers.
# `make test PYTEST_ARGS=--hypothesis-profile=search` draws new ones, to find what nobody has seen.
settings.register_profile("same", derandomize=True)
settings.register_profile("search", derandomize=False, print_blob=True)
settings.load_profile("same")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def same_randomness() -> None:
    """Each test draws the same numbers, whatever ran before it in its process."""
    numpy.random.seed(0)
    if "torch" in sys.modules:  # the first import seeds by itself
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the repository; the test is skipped where there is none."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the data sets beside the repository are not here")
    return folder


@pytest.fixture
def rock_salt() -> Structure:
    """NaCl, conventional cell, 8 atoms."""
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


@pytest.fixture
def rutile() -> Structure:
    """TiO2, 6 atoms."""
    return Structure.from_spacegroup(
        "P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.3053, 0.3053, 0]]
    )


@pytest.fixture
def quartz() -> Structure:
    """SiO2 (alpha), 9 atoms, trigonal."""
    return Structure.from_spacegroup(
        "P3_221", Lattice.hexagonal(4.913, 5.405), ["Si", "O"], [[0.4697, 0, 2 / 3], [0.4135, 0.2669, 0.7858]]
    )
