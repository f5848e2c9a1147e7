"""The options by which a person wishes for crystals, shared by the commands that take them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sozai.errors import UserError

_WISH = "The wish"

Elements = Annotated[
    str | None, typer.Option(rich_help_panel=_WISH, help="Chemical system: all of these elements, no others: Li,P,S.")
]
Allow = Annotated[str | None, typer.Option(rich_help_panel=_WISH, help="Only these elements (not all are needed).")]
Require = Annotated[str | None, typer.Option(rich_help_panel=_WISH, help="At least these elements.")]
Exclude = Annotated[str | None, typer.Option(rich_help_panel=_WISH, help="None of these elements.")]
Formula = Annotated[str | None, typer.Option(rich_help_panel=_WISH, help="Exactly this formula, such as Li3PS4.")]
AtLeast = Annotated[
    list[str] | None, typer.Option(rich_help_panel=_WISH, help="Least atomic share, as Li=0.2; may be repeated.")
]
SpaceGroup = Annotated[
    list[int] | None, typer.Option(rich_help_panel=_WISH, help="International number, 1 to 230; may be repeated.")
]
MinAtoms = Annotated[int | None, typer.Option(rich_help_panel=_WISH, help="Least atoms in the primitive cell.")]
MaxAtoms = Annotated[int | None, typer.Option(rich_help_panel=_WISH, help="Most atoms in the primitive cell (20).")]
EnergyAboveHull = Annotated[
    float | None, typer.Option(rich_help_panel=_WISH, help="Aim at this energy above hull, eV/atom (default 0).")
]
FormationEnergy = Annotated[
    float | None, typer.Option(rich_help_panel=_WISH, help="Aim at this formation energy, eV/atom.")
]
BandGap = Annotated[float | None, typer.Option(rich_help_panel=_WISH, help="Aim at this band gap, eV.")]
BulkModulus = Annotated[float | None, typer.Option(rich_help_panel=_WISH, help="Aim at this bulk modulus, GPa.")]


def conditions(
    elements: str | None,
    allow: str | None,
    require: str | None,
    exclude: str | None,
    formula: str | None,
    at_least: list[str] | None,
    space_group: list[int] | None,
    min_atoms: int | None,
    max_atoms: int | None,
    targets: dict[str, float | None] | None = None,
) -> dict[str, Any]:
    """Keywords of ``CrystalWish.of`` for what was typed; nothing for what was not.

    Raises:
        UserError: a least share that is not of the form Li=0.2.
    """
    shares: dict[str, float] = {}
    for text in at_least or []:
        symbol, _, value = text.partition("=")
        try:
            shares[symbol.strip()] = float(value)
        except ValueError:
            raise UserError(f"'{text}' is no least share", "--at-least", "write it as Li=0.2") from None
    given = {
        "elements": elements,
        "allowed": allow,
        "required": require,
        "forbidden": exclude,
        "formula": formula,
        "at_least": shares or None,
        "space_group": tuple(space_group) if space_group else None,
        "min_atoms": min_atoms,
        "max_atoms": max_atoms,
        "targets": {name: value for name, value in (targets or {}).items() if value is not None} or None,
    }
    return {key: value for key, value in given.items() if value is not None}
