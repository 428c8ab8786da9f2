"""The questions that models are compared by: what each asks, shows, and is asked with.

The page *Compare* and `ttt-lab report` put the same questions, with the same figures.
"""

from typing import NamedTuple


class Question(NamedTuple):
    """A question: its name, what it asks, its figures, what to look for, its command.

    `figures`: a label for each figure of `lab.plots.results`, the main one first.
    `alike`: the one that shows what the paper's figure shows.
    """

    title: str
    question: str
    figures: dict[str, str]
    look_for: str
    command: str
    alike: str


QUESTIONS = {
    "compare": Question(
        "Position",
        "Which model reads better, and does that last?",
        {"gap": "Lead", "loss": "Loss"},
        "lines that rise: the lead of the model that learns should grow with the "
        "position, for what is learned early helps later. A lead that is there from "
        "the first tokens on is a better start.",
        "eval compare tiny-e2e tiny-swa tiny-naive tiny-full",
        "loss",
    ),
    "context": Question(
        "Context",
        "What is more context worth?",
        {"loss": "Loss", "gap": "Behind"},
        "lines that go on falling: a window stops gaining where its reach ends.",
        "eval context",
        "loss",
    ),
    "recall": Question(
        "Recall",
        "What is left of a fact?",
        {"nats": "Nats", "first": "First choice", "whole": "Answers"},
        "solid lines right of the dotted mark: attention sees nothing of the fact "
        "there. A decoy that runs as high says that a name is kept, and no fact.",
        "eval recall tiny-e2e tiny-e2e-recall",
        "whole",
    ),
    "needles": Question(
        "Needles",
        "Which needles are found again?",
        {"distance": "Nats", "found": "Found", "several": "Several at once"},
        "right of the dotted mark attention cannot reach the needle: frozen twins are "
        "at exactly zero there. Each line is a length of text. Of several at once, a "
        "share no better than picking blindly says that a value is kept, and not what "
        "it belongs to.",
        "eval needles tiny-e2e tiny-e2e-recall tiny-full --full-to 16384",
        "found",
    ),
    "route": Question(
        "Routed",
        "What if the right passage were looked up?",
        {
            "nats": "Nats",
            "found": "Found",
            "several": "Several at once",
            "cost": "Cost",
        },
        "dashed lines: the passage that BM25 finds stands before the question. The "
        "dotted line says how often that passage holds the answer; what lies between "
        "is not the search's fault, but the reader's who cannot copy.",
        "eval route tiny-e2e",
        "found",
    ),
    "decode": Question(
        "Writing",
        "Is what a model writes any good?",
        {
            "along": "Along the text",
            "over": "Over the real text",
            "repeats": "Repetition",
        },
        "how far the lines lie above the document itself, as a judge that takes no "
        "part reads both, and whether they rise along the text. A line that falls "
        "while more is repeated says that the judge is pleased by repetition.",
        "eval decode tiny-e2e tiny-swa tiny-naive --tokens 512 --novels 4",
        "along",
    ),
    "rules": Question(
        "Rules",
        "Which inner rule suits a model?",
        {
            "over": "Against the paper's",
            "gain": "Over frozen",
            "rates": "At every rate",
        },
        "marks above zero by more than their intervals: zero is the paper's rule. A "
        "rule whose line falls steeply right of its best rate breaks easily.",
        "eval rules",
        "over",
    ),
    "bench-read": Question(
        "Latency",
        "What does a token cost, early and late?",
        {"reading": "Reading", "writing": "Writing"},
        "flat lines: the cost stays the same however much was read. A slope is a cache "
        "that grows.",
        "bench read",
        "reading",
    ),
    "decompose": Question(
        "Parts",
        "A better start, or learning while reading?",
        {"bars": "Parts", "curves": "Along the text"},
        "blue beside orange: orange is there before anything is learned.",
        "eval decompose tiny-e2e tiny-swa",
        "bars",
    ),
    "ablation-window": Question(
        "Window",
        "How much does learning make up for a shorter window?",
        {"loss": "Loss", "gain": "What learning saves", "usual": "Against the usual"},
        "how far the line that learns is below the plain one at each window; each open "
        "mark is one training, and what lies within their scatter is luck.",
        "eval ablation window",
        "loss",
    ),
    "ablation-chunk": Question(
        "Chunk",
        "How often should a model learn?",
        {"loss": "Loss", "gain": "What learning saves", "usual": "Against the usual"},
        "a line that rises to the right: fewer steps on as many tokens save less. The "
        "plain twin never learns, and has no chunks.",
        "eval ablation chunk",
        "loss",
    ),
    "ablation-layers": Question(
        "Fast blocks",
        "How many blocks should learn?",
        {"gain": "What learning saves", "loss": "Loss", "usual": "Against the usual"},
        "marks whose intervals do not overlap: more fast blocks can hold more, and all "
        "models here are equally large.",
        "eval ablation layers",
        "gain",
    ),
    "compute": Question(
        "Compute",
        "Does what learning saves shrink as models and trainings grow?",
        {"size": "By size", "tokens": "By tokens", "loss": "Loss by cost"},
        "lines that fall: a larger model, or a longer training, would leave less to "
        "be learned while reading.",
        "eval compute",
        "size",
    ),
    "latency": Question(
        "Crossing",
        "From which context on is learning cheaper than looking back?",
        {"prompt": "Prompt", "writing": "Writing", "training": "Training"},
        "the dotted mark where full attention's rising line crosses the flat one of "
        "the model that learns.",
        "eval latency",
        "prompt",
    ),
}
