"""The gallery of failures in words: what to predict, what to see, what the guard does.

The numbers come from `lab.reading.verdicts`; nothing here has a number of its own.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Exhibit:
    """One failure of the gallery.

    `happens`: what is done to the model. `question`, `choices`, `right`: what is to be
    predicted, and the place of the right answer. `see`: what to look for. `guard`:
    what protects the model. `open_door`: what nothing protects it from. `second`: the
    second figure, "drift" or "held back".
    """

    title: str
    happens: str
    question: str
    choices: tuple[str, str, str]
    right: int
    see: str
    guard: str
    open_door: str
    second: str = "drift"


GALLERY = {
    "rate": Exhibit(
        title="Steps too long",
        happens="The same text is read at the model's own inner rate, at 10 times, "
        "10,000 times and 10²⁰ times that rate, and by the frozen twin.",
        question="Which reader is worst off at 10 times the rate?",
        choices=(
            "It still beats its frozen twin: more learning helps.",
            "Learning has become worthless: about as dear as frozen, or dearer.",
            "Its numbers overflow, and all its steps are refused.",
        ),
        right=1,
        see="meta-training made the weights for *one* step length. Ten times that "
        "still gives finite numbers, and no alarm; only the loss tells. At 10²⁰ one "
        "step suffices: the next loss is no number, and the line ends.",
        guard="A step whose loss, gradient or new weights are not finite is refused: "
        "the weights stay, and reading goes on.",
        open_door="Finite nonsense is accepted. The step that ruined the weights at "
        "10²⁰ was finite itself, so it was taken; what is refused comes after it, and "
        "nothing undoes it but a memory file from before.",
    ),
    "clip": Exhibit(
        title="No clip",
        happens="In the middle of the text stands a page of one single token. One "
        "model bounds the gradient of each chunk to norm 1, as the paper does; the "
        "other does not.",
        question="What does the page do to the model without a clip?",
        choices=(
            "Nothing: the page is soon predicted, so its gradient is small.",
            "One long step, and then the text behind the page is dearer.",
            "Its numbers overflow.",
        ),
        right=1,
        see="the jump of the drift at the first chunk of the page, and the peak of the "
        "loss right behind it. A surprise has the largest gradient, and without a "
        "clip the longest step.",
        guard="The clip bounds every step, so one strange chunk moves the weights no "
        "further than any other.",
        open_door="The clip bounds a step, not a hundred of them: many small steps in "
        "one direction add up (see *The same page again and again*).",
    ),
    "own": Exhibit(
        title="Its own text",
        happens="After some real text the model writes, and reads what it writes: one "
        "copy learns from it, one does not, and one reads the real text on.",
        question="What becomes of the model that learns from its own text?",
        choices=(
            "It gets better: more text is more training.",
            "Nothing: its own text holds no surprise, so there is no gradient.",
            "It agrees with itself more and more, and repeats itself.",
        ),
        right=2,
        see="its loss falls towards zero, which looks like success, while the passage "
        "held back gets dearer. A low loss on one's own words measures nothing.",
        guard="None of the lab's guards sees it: loss, gradient and weights are finite "
        "and small.",
        open_door="A model that writes for long should read its own words with "
        "learning switched off (rate 0), as the green reader does.",
        second="held back",
    ),
    "poison": Exhibit(
        title="A poisoned passage",
        happens="In the middle of the text stands noise: random tokens of the same "
        "document. One copy learns from it, one reads it with learning switched off.",
        question="How much of the harm is left 24 chunks later?",
        choices=(
            "All of it: the weights never forget.",
            "Very little: the following text pulls the weights back.",
            "More than at first: errors grow.",
        ),
        right=1,
        see="the two losses part behind the noise and come together again. The noise "
        "itself is unmistakable: its loss is higher than that of uniform guessing.",
        guard="The clip: however loud the noise, each of its chunks moves the weights "
        "by one bounded step.",
        open_door="Nothing asks whether a text deserves to be learned. Noise is the "
        "harmless kind; text that is false and fluent looks like any other. "
        "`ttt-lab memory forget` takes the last chunks back exactly.",
        second="held back",
    ),
    "saturation": Exhibit(
        title="The same page again and again",
        happens="Eight chunks are read twelve times; another copy reads as many chunks "
        "of new text.",
        question="What happens to a passage that neither of them reads?",
        choices=(
            "It gets cheaper for both: learning is learning.",
            "It gets dearer for the copy that reads the page again and again.",
            "Nothing: the two texts have nothing in common.",
        ),
        right=1,
        see="above, the page is learned by heart; below, the price is paid: the line "
        "rises from round to round, past the frozen twin.",
        guard="Neither clip nor refusal: every step is small and finite.",
        open_door="Fast weights have no decay. The drift is the only sign, and it "
        "grows slowly; a fresh start, or half of a memory (`--alpha 0.5`), is the "
        "remedy.",
        second="held back",
    ),
    "tail": Exhibit(
        title="A ragged tail",
        happens="The last chunk of a text is read in part: 0, 8, 16 ... tokens of it. "
        "Then its text is asked for, with an empty window: from the weights alone.",
        question="How does the loss of the last chunk fall as more of it is read?",
        choices=(
            "Steadily, token by token.",
            "Not at all until the chunk is full, then at once.",
            "Quickly at first, then slowly.",
        ),
        right=1,
        see="a flat line, and one step at its very end. The dotted line is a model "
        "that never learns.",
        guard="It is meant: a step on half a chunk would be another step than the one "
        "that was trained, and the weights would depend on how a text was cut into "
        "calls. They do not, to the last bit.",
        open_door="What stands at the very end of a text is in the window only. It "
        "is gone once the window has moved on, unless more text fills the chunk.",
    ),
}
