"""`ttt-lab recipes`: what can be trained, and what does it cost?"""

from rich.table import Table

from lab.commands.terminal import Terminal
from lab.recipes import RECIPES
from lab.recipes.sizes import SIZES


def recipes():
    """List the recipes with their questions, costs and expected numbers."""
    table = Table("recipe", "question, cost, and what to expect", box=None)
    table.padding = (0, 2, 1, 0)
    for name, recipe in RECIPES.items():
        told = f"{recipe.QUESTION}\n[dim]{recipe.COST}; {recipe.EXPECTED}[/dim]"
        table.add_row(f"[bold]{name}[/bold]", told)
    console = Terminal(markup=True)
    console.print(table)
    console.print(
        f"Sizes: {sizes()}.\nA first model: ttt-lab train tiny-e2e --size nano"
    )


def sizes() -> str:
    """The sizes of all recipes, and those of recipes that have others."""
    others = {n: r.SIZES for n, r in RECIPES.items() if tuple(r.SIZES) != SIZES}
    groups = {}
    for name, has in others.items():
        groups.setdefault(tuple(has), []).append(name)
    less = "; ".join(f"{' '.join(n)}: {' '.join(s)}" for s, n in groups.items())
    return f"{' '.join(SIZES)}" + (f" ({less})" if less else "")
