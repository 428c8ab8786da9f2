"""A tiny training for the tests of "Train one": 24 steps in a moment, and a card.

Seed 900 trains until it is stopped, 901 stops by itself at the first start, 902 fails.
"""

import json
import os
import sys
import time
from pathlib import Path


def main(words):
    name, plain = words[words.index("--run") + 1], "--plain" in words
    folder = Path(os.environ["TTT_LAB_RUNS"], name)
    again = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    stage = {"name": "pretrain", "tokens": 50_000, "seq": 256, "batch": 8}
    about = {"name": "nano-e2e", "stages": [stage], "method": "meta", "model": {}}
    (folder / "experiment.json").write_text(json.dumps(about))
    if "seed=902" in words:
        sys.exit("ttt-lab: the disk is full: make some space.")
    train(folder, plain, endless="seed=900" in words)
    if "seed=901" in words and not again:
        print("ttt-lab: stopped at step 24; saved.")
        sys.exit(130)
    finish(folder, plain)


def train(folder, plain, endless):
    try:
        with (folder / "metrics.jsonl").open("w") as file:
            for step in range(24):
                line = {"step": step, "tokens": 2048 * (step + 1), "drift": 0.1}
                line |= {"loss": 2.5, "tokens_per_s": 1e4}
                if step % 4 == 0 and not plain:
                    line |= {"gain": 0.01, "held_out": 2.5, "held_out_frozen": 2.52}
                file.write(json.dumps(line) + "\n")
        time.sleep(60 if endless else 0)
    except KeyboardInterrupt:
        sys.exit(130)


def finish(folder, plain):
    held = {
        "loss_learning": 2.6 if plain else 2.5,
        "loss_frozen": 2.6 if plain else 2.52,
    }
    held |= {"passages": 12, "tokens_each": 4096, "text": "sotu/val"}
    config = {"inner": {"lr": 0.0 if plain else 1.0}, "fast_blocks": 1}
    card = {
        "held_out": held,
        "tokenizer": "bytes",
        "config": config,
        "sha256": "0" * 64,
    }
    (folder / "nano-e2e.json").write_text(json.dumps(card))


main(sys.argv[1:])
