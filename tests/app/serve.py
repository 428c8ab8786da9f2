"""Run the explorer with an untrained nano model and a made-up recording, for tests.

python tests/app/serve.py PORT FOLDER [OPTION OF STREAMLIT ...]
"""

import sys
from pathlib import Path

import synthetic_published


def main(port: str, folder: str, *options: str):
    synthetic_published.publish(Path(folder))
    from streamlit.web import cli

    main_file = Path(__file__).parents[2] / "app" / "main.py"
    sys.argv = ["streamlit", "run", str(main_file), f"--server.port={port}", *options]
    cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
