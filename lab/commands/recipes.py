"""`ttt-lab recipes`: what can be trained, and what does it cost?"""

from rich.table import Table

from lab.commands.terminal import Terminal
from lab.recipes import RECIPES


def recipes():
    """List the recipes with their questions, costs and expected numbers."""
    table = Table.grid(padding=(0, 2, 1, 0))
    for name, recipe in RECIPES.items():
        told = (
            recipe.QUESTION,
            f"[dim]cost[/dim] {recipe.COST}",
            f"[dim]expected[/dim] {recipe.EXPECTED}",
            f"[dim]sizes[/dim] {', '.join(recipe.SIZES)}",
        )
        table.add_row(f"[bold]{name}[/bold]", "\n".join(told))
    Terminal(markup=True).print(table)
