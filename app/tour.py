"""The guided tour as data: eight stops, each with a prediction, over five pages.

A stop first sets its page to a state that gives nothing away, asks, and then shows.
Seven stops need no program: they show recorded readings and published results. Numbers
are not written here; the page takes them from the result that a stop names.
"""

from dataclasses import dataclass, field


VIEWS = {
    "Watch it read": "views/watch.py",
    "Ask it": "views/ask.py",
    "Inside the weights": "views/inside.py",
    "Compare": "views/compare.py",
    "When it breaks": "views/breaks.py",
}
CARTER, NOVEL = "carter-1981-needle", "marjoribanks-1866-needle"
PLANTED = "After his death the battered portrait went to Agnes Brooks."


@dataclass(frozen=True)
class Stop:
    """One stop of the tour.

    `page`: title of the page. `panel`, `points`: the panel in words, and the class by
    which the page knows it. `right`: place of the right choice. `why`, `onward`: why it
    is so, and what to look at next. `before`, `shown`: values of the session when the
    stop begins, and with *Show me*. `recording`: plays from `start` with *Show me*.
    `result`: what gives the number, a published result or a failure's name. `waits`:
    what has to be waited for.
    """

    title: str
    page: str
    panel: str
    points: str
    question: str
    choices: tuple[str, str, str]
    right: int
    why: str
    onward: str
    recording: str = ""
    start: int = 0
    before: dict = field(default_factory=dict)
    shown: dict = field(default_factory=dict)
    result: str = ""
    waits: str = ""


STOPS = (
    Stop(
        title="Learner against twin",
        page="Watch it read",
        panel="what learning saves",
        points="chart-gain",
        question="Learner and twin start with the same weights. From when on does the "
        "learner pay less for the text?",
        choices=(
            "From the first word on.",
            "Not in the first chunk; then more and more.",
            "Only in the last quarter of the text.",
        ),
        right=1,
        why="In the first chunk both are the same model, so the difference is exactly "
        "zero. Each chunk is then learned only after it was paid for.",
        onward="Blue words in the text are cheaper for the learner: find a name.",
        recording=CARTER,
        before={"speed": 4, "more": False},
    ),
    Stop(
        title="The weights drift",
        page="Watch it read",
        panel="how far the fast weights have moved",
        points="chart-drift",
        question="All steps have the same inner rate. How does the distance of the "
        "weights from their start grow?",
        choices=(
            "Fast at first, then ever more slowly.",
            "Evenly: each chunk adds as much as the one before.",
            "It soon stops: there is nothing left to learn.",
        ),
        right=0,
        why="Early steps share a direction, the manner of this text. Later steps turn "
        "to and fro, so they add up to less, and yet they never stop.",
        onward="One line per fast block: do the blocks move alike?",
        recording=CARTER,
        before={"speed": 16, "more": False},
        shown={"more": True},
    ),
    Stop(
        title="The needle leaves the reach",
        page="Watch it read",
        panel="what is left of the needle",
        points="chart-recall",
        question="A sentence was planted in this novel. Soon attention can no longer "
        "reach it. What is left of it then?",
        choices=(
            "Nothing: what attention does not see is gone.",
            "A little in both models: they have read it, after all.",
            "In the twin exactly nothing; the learner still knows it.",
        ),
        right=2,
        why="Behind the dotted mark the twin's line is zero to the last bit. What the "
        "learner still saves can only be in its weights.",
        onward="The blue line sinks slowly: forgetting, at stop 6.",
        recording=NOVEL,
        start=30,
        before={"speed": 4, "more": False},
    ),
    Stop(
        title="Document gone, weights remain",
        page="Ask it",
        panel="the reading that is asked",
        points="who-row",
        question="After a novel, either the window is emptied or the weights are taken "
        "back. Which loss is the greater?",
        choices=(
            "The window: it holds the text itself.",
            "The weights: the window holds little beside them.",
            "Both are about the same.",
        ),
        right=1,
        why="The window reaches a few hundred tokens back; the weights hold what came "
        "before, too.",
        onward="When the reading is done, press *Ask*, then *Document gone, weights "
        "remain*.",
        shown={
            "source": "live",
            "answerer": "reading",
            "document": "sotu/1981-Carter-1",
            "cap": 4_096,
            "needle": "sentence",
            "sentence": PLANTED,
            "depth": 0.3,
            "asked": "ask",
        },
        result="forgetting-tiny-e2e-ENG18840_Lee",
        waits="Here something waits: the model is opened and compiled, which takes "
        "half a minute or more the first time. You may go on meanwhile.",
    ),
    Stop(
        title="Who taught this word",
        page="Inside the weights",
        panel="who taught a token",
        points="teachers",
        question="Learning made some words much cheaper. Which earlier passages taught "
        "them?",
        choices=(
            "Passages that hold the very same word.",
            "The passage just before, whatever it says.",
            "All passages a little.",
        ),
        right=0,
        why="Without those passages the word would have cost more: each was left out "
        "once, and the reading repeated.",
        onward="Choose another token above the text, and read its teachers.",
        before={"look": "anatomy"},
        shown={"look": "influence", "taught": 0},
        result="influence-tiny-e2e-ENG18840_Lee",
    ),
    Stop(
        title="What fades",
        page="Inside the weights",
        panel="what stays of a chunk",
        points="figure-retention",
        question="Every chunk enters the weights at once. How many of the chunks keep "
        "half of it or more to the end?",
        choices=("Nearly all.", "None.", "Some, but the smaller part."),
        right=2,
        why="Later chunks write into the same weights: below the diagonal the blue "
        "gets paler to the right.",
        onward="Which chunks stayed best? They are listed beside the figure.",
        before={"look": "anatomy"},
        shown={"look": "retention"},
        result="retention-tiny-e2e-ENG18840_Lee",
    ),
    Stop(
        title="Against a window alone",
        page="Compare",
        panel="the lead by position",
        points="ours-compare",
        question="tiny-swa has the same window and never learns. How does tiny-e2e do "
        "against it on novels?",
        choices=(
            "It is dearer: learning disturbs.",
            "It is cheaper by a clear margin.",
            "There is no clear difference.",
        ),
        right=1,
        why="What lies beyond the window is lost to tiny-swa. The interval says how "
        "sure that is, and it does not hold zero.",
        onward="Beside it stands the paper's own figure; pin two models below.",
        before={"compared": "bench-read"},
        shown={"compared": "compare"},
        result="compare-tiny-e2e-eltec-eng-val-16384",
    ),
    Stop(
        title="The rate is too high",
        page="When it breaks",
        panel="the loss at each rate",
        points="chart-broken-loss",
        question="The learner takes steps ten times as long as it was trained for. "
        "What becomes of it?",
        choices=(
            "It still beats its frozen twin: more learning helps.",
            "Learning has become worthless: about as dear as frozen, or dearer.",
            "Its numbers overflow, and all its steps are refused.",
        ),
        right=1,
        why="Meta-training made the weights for one length of step. Nothing raises an "
        "alarm, for all numbers stay finite; only the loss tells.",
        onward="Five more failures are above, each with a prediction.",
        before={"failure": "rate", "breaking_model": "tiny-e2e", "guesses": {}},
        shown={"failure": "rate"},
        result="rate",
    ),
)
