"""``sozai systems`` and ``sozai prove``: the catalog of named generators, and why to believe them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sozai.cli.frame import AsJson, emit, progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sozai.generators.proofs.proof import Check
    from sozai.generators.recipes.recipe import Recipe

SYSTEMS_EXAMPLES = ("sozai systems", "sozai systems ddss", "sozai systems --family vae --json")
PROVE_EXAMPLES = ("sozai prove ddim", "sozai prove --all", "sozai prove beta-vae --mutations")


def systems(
    name: Annotated[str | None, typer.Argument(help="A system to explain; without, all are listed.")] = None,
    family: Annotated[str | None, typer.Option(help="Only gan, vae, diffusion, flow or language.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the generators of the literature that sozai builds, or explain one.

    Each is proven: [bold]sozai prove NAME[/bold]. Train one on your data with [bold]sozai train NAME[/bold];
    docs/generators.md compares them on the same work.
    """
    from sozai.errors import UserError
    from sozai.generators.catalog import recipe, recipes

    if name is not None:
        explain(recipe(name), as_json)
        return
    chosen = [each for each in recipes().values() if family in (None, each.family)]
    if not chosen:
        families = ", ".join(sorted({each.family for each in recipes().values()}))
        raise UserError(f"there is no family '{family}'", "--family", f"use one of {families}")
    emit([_card(each) for each in chosen], as_json, lambda console: _table(console, chosen))


LETTERS = {"continuous": "n", "categorical": "c", "periodic": "p", "rotation": "r", "image": "i", "sequence": "s"}
"""Short for a kind of field; ``sites`` is S."""


def _table(console: Console, chosen: list[Recipe]) -> None:
    from rich.table import Table

    rows = [("system", "family", "likelihood", "serves", "given", "cost", "arXiv")]
    for each in chosen:
        serves = "".join(letter if kind in each.serves else "·" for kind, letter in {**LETTERS, "sites": "S"}.items())
        number = each.paper.rpartition("arXiv ")[2].split()[0].rstrip(",;") if "arXiv" in each.paper else ""
        given = "yes" if each.conditional else "no"
        rows.append((each.name, each.family, each.likelihood, serves, given, each.cost, number))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading, *cells in zip(*rows, strict=True):
        table.add_column(heading, no_wrap=True, min_width=max(map(len, (heading, *cells))))
    table.add_column("what", no_wrap=True, overflow="ellipsis")
    for row, each in zip(rows[1:], chosen, strict=True):
        table.add_row(*row, each.title)
    console.print(table)
    console.print(
        "\nserves: numbers, categories, periodic values, rotations, images, sequences, Sites; given: takes "
        "conditions; cost: of training on about 1,000 rows with 2 cores.\n"
        "Explain one: sozai systems NAME. Prove it: sozai prove NAME."
    )


def explain(recipe: Recipe, as_json: bool) -> None:
    """One system: idea, formula, use, proof and numbers."""
    from sozai.generators.catalog import measured
    from sozai.generators.proofs.catalog import checks_of

    proof, tasks = checks_of(recipe.name), measured().get(recipe.name, {})
    card = _card(recipe) | {"use": _use(recipe), "proof": [_of_check(check) for check in proof], "measured": tasks}

    def render(console: Console) -> None:
        console.print(f"[bold]{recipe.name}[/bold]  {recipe.title}\n{recipe.paper}\n")
        console.print(" ".join(recipe.idea.split()) + "\n")
        console.print("[bold]Formula[/bold]")
        console.print(recipe.formula + "\n", markup=False)
        takes = "takes" if recipe.conditional else "takes no"
        console.print(
            f"[bold]Serves[/bold] {', '.join(recipe.serves)}; likelihood {recipe.likelihood}; {takes} conditions; "
            f"{recipe.cost} for about 1,000 rows on 2 cores\n"
        )
        console.print("[bold]Use[/bold]")
        console.print(_use(recipe) + "\n", markup=False)
        console.print(f"[bold]Proof[/bold] (sozai prove {recipe.name})")
        for check in proof:
            console.print(f"- {' '.join((check.function.__doc__ or check.name).split())}", markup=False)
            for mutation in check.broken_by:
                console.print(f"    fails when {mutation.what}", markup=False)
        if recipe.numbers:
            console.print("\n[bold]Numbers[/bold]")
            for line in recipe.numbers:
                console.print(f"- {line}", markup=False)
        if tasks:
            console.print(
                "\n[bold]Measured[/bold] beside all others (docs/generators.md)\n"
                "distance: 1 is as near as real rows are; nearer: how many others were"
            )
            console.print(_measured(tasks))

    emit(card, as_json, render)


def _measured(tasks: dict[str, dict[str, Any]]) -> Table:
    """Of one system, a row a task."""
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("task", "distance", "nearer", "likelihood", "training s", "s / 1,000"):
        table.add_column(heading, justify="left" if heading == "task" else "right", no_wrap=True)
    for task in tasks.values():
        value, unit = task.get("likelihood", ("", ""))
        likelihood = f"{value} {unit.split(',')[0]}".strip()
        distance = "{:.2f} ± {:.2f}".format(*task["distance"])
        nearer = f"{task['nearer']} of {task['systems'] - 1}"
        seconds = f"{task['training_s']:.0f}", f"{task['sampling_s']:.1f}"
        table.add_row(task["title"].partition(" (")[0], distance, nearer, likelihood, *seconds)
    return table


def _use(recipe: Recipe) -> str:
    if recipe.needs:
        return f"It needs {recipe.needs}."
    if recipe.sampler:
        return (
            f'fitted = sozai.generator("ddpm").fit("table.csv")\n'
            f'fast = sozai.generator("{recipe.name}", wraps=fitted, data="table.csv", steps=10)\n'
            "rows = fast.sample(1000, seed=0)"
        )
    data = "text.txt" if recipe.serves == ("sequence",) else "images/" if recipe.serves == ("image",) else "table.csv"
    return (
        f'generator = sozai.generator("{recipe.name}").fit("{data}", folder="run/{recipe.name}")\n'
        f"new = generator.sample(1000, seed=0)\n"
        f"# or: sozai train {recipe.name} --data {data} --out run/{recipe.name}\n"
        f"#     sozai generate run/{recipe.name} --count 1000 --out run/new"
    )


def _card(recipe: Recipe) -> dict[str, Any]:
    return {
        "name": recipe.name, "title": recipe.title, "family": recipe.family, "paper": recipe.paper,
        "idea": " ".join(recipe.idea.split()), "formula": recipe.formula, "likelihood": recipe.likelihood,
        "serves": list(recipe.serves), "conditional": recipe.conditional, "cost": recipe.cost,
        "training": dict(recipe.training), "sampler": recipe.sampler, "numbers": list(recipe.numbers),
    }  # fmt: skip


def _of_check(check: Check) -> dict[str, Any]:
    return {
        "check": check.name,
        "shows": " ".join((check.function.__doc__ or "").split()),
        "seconds": check.seconds,
        "broken_by": [mutation.what for mutation in check.broken_by],
    }


def prove(
    names: Annotated[list[str] | None, typer.Argument(help="Systems to prove.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All systems.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Only checks of a few seconds.")] = False,
    mutations: Annotated[
        bool, typer.Option("--mutations", help="Also break the code in the listed ways: each check must then fail.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Run the proofs of systems and print what was expected against what was got.

    A proof compares with exact results (closed forms, enumeration, known limits). It is worth something only if it
    fails when the defining part is broken: [bold]--mutations[/bold] shows that. Exit code 1 when anything fails.
    """
    from sozai.errors import UserError
    from sozai.generators.proofs.catalog import checks, checks_of

    if bool(names) == everything:
        raise UserError(
            "name the systems to prove, or all", "prove", "for example: sozai prove ddim, or sozai prove --all"
        )
    chosen = (
        list(checks()) if everything else list({id(c): c for name in names or [] for c in checks_of(name)}.values())
    )
    chosen = [check for check in chosen if check.fast or not fast]
    results = []
    with progress("Proving", as_json) as on_progress:
        for number, check in enumerate(chosen):
            results.append(_run(check, seed, mutations))
            on_progress(number + 1, len(chosen), check.name)
    passed = all(result["passed"] for result in results)
    emit({"passed": passed, "checks": results}, as_json, lambda console: _report(console, results))
    if not passed:
        raise typer.Exit(1)


def _run(check: Check, seed: int, mutations: bool) -> dict[str, Any]:
    started = time.monotonic()
    try:
        findings = [
            {"what": f.what, "expected": f.expected, "got": f.got, "passed": f.passed, "why": f.why}
            for f in check.run(seed)
        ]
    except Exception as error:  # a proof that cannot be run has failed; the others go on
        findings = [{"what": "runs", "expected": "to the end", "got": repr(error), "passed": False, "why": ""}]
    seconds = time.monotonic() - started
    survived = [mutation.what for mutation in check.broken_by if mutations and check.survives(mutation)]
    return {
        **_of_check(check),
        "systems": list(check.systems),
        "findings": findings,
        "survived": survived,
        "mutations_tried": len(check.broken_by) if mutations else 0,
        "seconds": round(seconds, 2),
        "passed": bool(findings) and all(finding["passed"] for finding in findings) and not survived,
    }


def _report(console: Console, results: list[dict[str, Any]]) -> None:
    for result in results:
        mark = "[green]proven[/green]" if result["passed"] else "[red]FAILED[/red]"
        console.print(f"{mark} [bold]{', '.join(result['systems'])}[/bold] {result['check']} ({result['seconds']} s)")
        console.print(f"  {result['shows']}", markup=False)
        for finding in result["findings"]:
            sign = "ok " if finding["passed"] else "NO "
            why = f"  [{finding['why']}]" if finding["why"] else ""
            console.print(
                f"  {sign} {finding['what']}: expected {finding['expected']}, got {finding['got']}{why}", markup=False
            )
        for what in result["survived"]:
            console.print(f"  NO  it did not notice that {what}", markup=False)
        if result["mutations_tried"]:
            noticed = result["mutations_tried"] - len(result["survived"])
            console.print(f"  noticed {noticed} of {result['mutations_tried']} mutations", markup=False)
    failed = sum(not result["passed"] for result in results)
    console.print(
        f"\n{len(results) - failed} of {len(results)} checks passed, {sum(r['seconds'] for r in results):.0f} s"
    )
