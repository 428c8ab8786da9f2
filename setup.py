"""A wheel holds the cards of the texts too: `datasets/` travels as `lab/data/cards`.

The folder stands at the top of the repository, outside of all packages, because an
importable `datasets` would shadow Hugging Face's. Everything else is in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithCards(build_py):
    """The usual build, and a copy of the cards."""

    def run(self):
        """Build the packages; an editable install reads the cards where they are."""
        super().run()
        if not self.editable_mode:
            cards = Path(self.build_lib, "lab", "data", "cards")
            shutil.copytree("datasets", cards, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithCards})
