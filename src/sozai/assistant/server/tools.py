"""The tools: each checks what it is given, runs a command of sozai, and hands back its result with all verdicts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import anyio
from pydantic import Field

from sozai.assistant.server.jobs import Job, Jobs, read_text
from sozai.assistant.server.places import Places, inside

_WAIT = 20.0
"""Seconds a call waits for its job before it answers with the job's name: under every client's own patience."""
_LONGEST = 50.0
_STEP = 0.1

File = Annotated[str, Field(description="A file, relative to the server's folder (see list_files).", max_length=1000)]
Minutes = Annotated[float, Field(description="Time for all of it.", gt=0, le=240)]
Words = Annotated[list[str], Field(max_length=50)]


class Tools:
    """The tools over one folder.

    Args:
        root: the only folder whose files may be named; results go into ``sozai-runs`` in it.
    """

    def __init__(self, root: Path):
        self.places = Places(root)
        self.root = self.places.root
        self.jobs = Jobs(self.root)

    async def check_crystal(
        self, file: File = "", cif: Annotated[str, Field(description="Or the text of a CIF.", max_length=10**6)] = ""
    ) -> dict[str, Any]:
        """Check crystal structures (CIF, POSCAR, extxyz, pymatgen JSON, a zip or folder of them) against the rules of
        materials science: charge balance, distances, volume, coordination, bond valences, symmetry. Each rule gives a
        verdict: passed, failed with the amount and what to do, or not decided."""
        folder = self.jobs.folder("check_crystal")
        return await self._run(folder, ["check", "--", self.places.either(file, cif, folder / "given.cif")])

    async def audit_cif(
        self,
        file: File = "",
        cif: Annotated[str, Field(description="Or the text of a CIF.", max_length=10**6)] = "",
        rules: Annotated[
            str,
            Field(
                description="What the structure shall be: a rule file, or words such as 'SrTiO3, Pm-3m, Sr 1a, Ti 1b, "
                "O 3c; corner-sharing TiO6 octahedra'.",
                max_length=20_000,
            ),
        ] = "",
    ) -> dict[str, Any]:
        """Audit a CIF as a crystallographer would (syntax, symmetry operators against positions, occupancies,
        duplicates, formula, charge) and judge its structure by rules, if given: space group, sites, polyhedra and how
        they share, oxidation states, distances, density. exit_code 3: something failed or could not be decided."""
        folder = self.jobs.folder("audit_cif")
        words = ["--", self.places.words(rules)] if rules.strip() else []
        return await self._run(
            folder, ["cif", f"--check={self.places.either(file, cif, folder / 'given.cif')}", *words]
        )

    async def build_structure(
        self,
        rules: Annotated[
            str,
            Field(
                description="A rule file, or words: 'NaZr2(PO4)3, R-3c, Na on 6b, Zr on 12c, P on 18e, O on 36f twice; "
                "ZrO6 octahedra share all corners with PO4 tetrahedra'.",
                max_length=20_000,
            ),
        ],
        relax: Annotated[bool, Field(description="Relax the best with a machine-learned potential.")] = True,
        minutes: Minutes = 4.0,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> dict[str, Any]:
        """Build crystal structures from rules alone: Wyckoff search and distance least squares, then relaxation. Gives
        CIF files ranked, each with the verdict of every rule. Impossible rules are refused with the reason. Takes
        minutes: poll job_result."""
        folder = self.jobs.folder("build_structure")
        relaxing = "--relax" if relax else "--no-relax"
        options = ["--build", relaxing, f"--minutes={minutes}", f"--seed={seed}", f"--out={folder / 'run'}"]
        return await self._run(folder, ["cif", *options, "--", self.places.words(rules)])

    async def design_crystals(
        self,
        elements: Annotated[Words, Field(description="All of these and no others: ['Li', 'P', 'S'].")] = [],  # noqa: B006
        require: Annotated[Words, Field(description="These at least.")] = [],  # noqa: B006
        exclude: Annotated[Words, Field(description="None of these.")] = [],  # noqa: B006
        formula: Annotated[str, Field(description="Exactly this formula: 'Li3PS4'.", max_length=200)] = "",
        space_group: Annotated[int | None, Field(description="Its number.", ge=1, le=230)] = None,
        max_atoms: Annotated[int | None, Field(description="In the primitive cell.", ge=1, le=200)] = None,
        band_gap: Annotated[float | None, Field(description="To aim at, in eV.", ge=0)] = None,
        bulk_modulus: Annotated[float | None, Field(description="To aim at, in GPa.", gt=0)] = None,
        count: Annotated[int, Field(description="Crystals to generate.", ge=1, le=10_000)] = 200,
        minutes: Minutes = 5.0,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> dict[str, Any]:
        """Generate new crystals for a wish and put them through the funnel: valid, unique, novel, relaxed, stable.
        Gives ranked candidates with energies above the hull, probabilities and nearest known materials, and counts
        with reasons of all that fell out. Takes minutes: poll job_result."""
        folder = self.jobs.folder("design_crystals")
        options = [f"--count={count}", f"--minutes={minutes}", f"--seed={seed}", f"--out={folder / 'run'}"]
        for name, value in (
            ("elements", ",".join(elements)),
            ("require", ",".join(require)),
            ("exclude", ",".join(exclude)),
            ("formula", formula),
            ("space-group", space_group),
            ("max-atoms", max_atoms),
            ("band-gap", band_gap),
            ("bulk-modulus", bulk_modulus),
        ):
            if value not in (None, ""):
                options.append(f"--{name}={value}")
        return await self._run(folder, ["design", "crystals", *options])

    async def check_table(
        self,
        file: File,
        target: Annotated[str, Field(description="The measured column; guessed and told when empty.")] = "",
        minutes: Minutes = 5.0,
    ) -> dict[str, Any]:
        """Check a table of experiments (CSV, TSV, Excel, parquet) for errors: typos, unit slips, exchanged columns,
        broken sums, duplicates, contradictions. Each finding names row, column, reason, confidence and a repair where
        one can be justified; the file is not changed."""
        folder = self.jobs.folder("check_table")
        options = [f"--minutes={minutes}", f"--out={folder / 'run'}", *([f"--target={target}"] if target else [])]
        return await self._run(folder, ["check", *options, "--", self.places.file(file)])

    async def design_table(
        self,
        file: File,
        maximise: Annotated[Words, Field(description="Columns or formulas of them.")] = [],  # noqa: B006
        minimise: Annotated[Words, Field(description="Columns or formulas: 'cost = 2*Cement + 8*Water'.")] = [],  # noqa: B006
        target: Annotated[Words, Field(description="Values to come near: 'strength=120'.")] = [],  # noqa: B006
        given: Annotated[Words, Field(description="What must hold: 'Water <= 180'.")] = [],  # noqa: B006
        ignore: Annotated[Words, Field(description="Columns not to use.")] = [],  # noqa: B006
        batch: Annotated[int, Field(description="Experiments to propose next.", ge=0, le=200)] = 8,
        minutes: Minutes = 5.0,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> dict[str, Any]:
        """Find new rows of a table of experiments that reach goals, and propose the next experiments, with intervals
        that are checked on held-out rows. Takes minutes: poll job_result."""
        folder = self.jobs.folder("design_table")
        options = [f"--batch={batch}", f"--minutes={minutes}", f"--seed={seed}", f"--out={folder / 'run'}"]
        for name, values in (
            ("maximise", maximise),
            ("minimise", minimise),
            ("target", target),
            ("given", given),
            ("ignore", ignore),
        ):
            options += [f"--{name}={value}" for value in values]
        return await self._run(folder, ["design", "table", *options, "--", self.places.file(file)])

    async def augment_table(
        self,
        file: File,
        target: Annotated[str, Field(description="Column to predict.", min_length=1)],
        minutes: Minutes = 10.0,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> dict[str, Any]:
        """Measure whether synthetic rows help to predict a column, by nested cross-validation without leaks, and say
        so in one sentence. Takes minutes: poll job_result."""
        folder = self.jobs.folder("augment_table")
        options = [f"--target={target}", f"--minutes={minutes}", f"--seed={seed}", f"--out={folder / 'run'}"]
        return await self._run(folder, ["augment", *options, "--", self.places.file(file)])

    async def solve_equation(
        self,
        equation: Annotated[
            str,
            Field(
                description="With conditions, range and numbers, in words, LaTeX or plain mathematics: "
                "'du/dt + u^2 = 0, u(0) = 1, t = 0..5'; or a YAML file.",
                max_length=20_000,
            ),
        ],
        parameters: Annotated[
            dict[str, str], Field(description="Numbers by name, with units: {'D': '1e-4 m2/s'}.")
        ] = {},  # noqa: B006
        tolerance: Annotated[
            float | None, Field(description="Error allowed, relative; by default 1e-8, partial 1e-3.", ge=1e-12, le=0.1)
        ] = None,
        check_only: Annotated[bool, Field(description="Read and check the problem; do not solve it.")] = False,
        minutes: Minutes = 5.0,
    ) -> dict[str, Any]:
        """Solve an ordinary, differential-algebraic or partial differential equation and prove the solution: residual,
        order of convergence, conservation, closed form, second method. Missing or contradictory conditions are named.
        Gives numbers with an error bar, verdicts, and a script that makes the same numbers."""
        folder = self.jobs.folder("solve_equation")
        options = [f"--minutes={minutes}", f"--out={folder / 'run'}"]
        options += [] if tolerance is None else [f"--tolerance={tolerance}"]
        options = ["--check", f"--minutes={minutes}"] if check_only else options
        options += [f"--set={name}={value}" for name, value in parameters.items()]
        return await self._run(folder, ["solve", *options, "--", self.places.words(equation)])

    async def extract_records(
        self,
        file: File = "",
        text: Annotated[str, Field(description="Or the text itself.", max_length=10**6)] = "",
        properties: Annotated[
            Words, Field(description="['ionic_conductivity', 'band_gap', ...]; all when empty.")
        ] = [],  # noqa: B006
    ) -> dict[str, Any]:
        """Extract measured values from a paper (PDF, HTML, JATS, DOCX, text): material, property, value, unit,
        conditions, method, each with the place in the text where it stands; doubtful ones are flagged with the reason.
        A value that is not in the text does not come out."""
        folder = self.jobs.folder("extract_records")
        source = self.places.either(file, text, folder / "text.txt")
        options = [f"--property={name}" for name in properties]
        return await self._run(folder, ["extract", *options, f"--out={folder / 'run'}", "--", source])

    async def library_add(
        self, files: Annotated[Words, Field(description="Documents, tables or folders.")]
    ) -> dict[str, Any]:
        """Read documents and tables into the library of the server's folder, for library_search and ask."""
        paths = [self.places.file(name) for name in files]
        folder = self.jobs.folder("library_add")
        return await self._run(folder, ["library", "add", f"--library={self.root / 'library'}", *paths])

    async def library_search(
        self,
        words: Annotated[str, Field(description="What to look for.", min_length=1, max_length=2000)],
        count: Annotated[int, Field(ge=1, le=50)] = 10,
    ) -> dict[str, Any]:
        """Find passages and rows of tables in the library, best first, verbatim, with document, page and span."""
        folder = self.jobs.folder("library_search")
        library = f"--library={self.places.library()}"
        return await self._run(folder, ["library", "search", library, f"--count={count}", "--", words])

    async def ask(
        self, question: Annotated[str, Field(description="In English.", min_length=1, max_length=2000)]
    ) -> dict[str, Any]:
        """Answer a question from the library: values, or strategies with mechanism, evidence, conditions, effect, pros
        and cons, and next actions. Every sentence has its quote or is marked as not supported; where the library says
        nothing, so does the answer."""
        folder = self.jobs.folder("ask")
        return await self._run(folder, ["ask", f"--library={self.places.library()}", "--", question])

    async def job_result(
        self,
        job: Annotated[str, Field(description="As a call gave it.")],
        wait_seconds: Annotated[float, Field(description="To wait if it still runs.", ge=0, le=_LONGEST)] = _WAIT,
    ) -> dict[str, Any]:
        """The result of a job, or that it still runs."""
        return await self._wait(self.jobs.get(job), wait_seconds)

    async def cancel_job(self, job: Annotated[str, Field(description="As a call gave it.")]) -> dict[str, Any]:
        """End a job; what it has written so far is kept."""
        chosen = self.jobs.get(job)
        await anyio.to_thread.run_sync(self.jobs.cancel, chosen)
        return {"job": job, "status": "ended", "cancelled": chosen.cancelled}

    async def list_files(
        self, pattern: Annotated[str, Field(description="Such as '*.cif' or 'papers/*'.", max_length=200)] = "*"
    ) -> dict[str, Any]:
        """Files and folders of the server's folder that match a pattern, at most 200."""
        return self.places.matching(pattern)

    async def read_output(
        self,
        job: Annotated[str, Field(description="As a call gave it.")],
        file: Annotated[str, Field(description="One of the result's files.", max_length=1000)],
        offset: Annotated[int, Field(description="Byte to begin at.", ge=0)] = 0,
    ) -> dict[str, Any]:
        """Text of a file that a job wrote, 20,000 bytes at a time."""
        folder = self.jobs.get(job).folder
        path = inside(folder, file, f"job {job}")
        with open(path, "rb") as stream:
            text = read_text(stream, offset, 20_000)
        return {"text": text, "size": path.stat().st_size, "offset": offset}

    async def _run(self, folder: Path, arguments: Sequence[str]) -> dict[str, Any]:
        job = self.jobs.begin(folder.name.rpartition("-")[0], folder, arguments)
        return await self._wait(job, _WAIT)

    async def _wait(self, job: Job, seconds: float) -> dict[str, Any]:
        with anyio.move_on_after(seconds):
            while not self.jobs.ended(job):
                await anyio.sleep(_STEP)
        if self.jobs.ended(job):
            return await anyio.to_thread.run_sync(self.jobs.outcome, job)
        return {
            "job": job.name,
            "status": "running",
            "seconds": round(time.monotonic() - job.begun, 1),
            "next": "ask job_result with this job",
        }
