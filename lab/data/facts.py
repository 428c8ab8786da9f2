"""Facts that cannot be guessed: a key, a value, and ways to tell and to ask.

A fact is a sentence that ends, but for a few words, with its value. Its question is the
beginning of such a sentence, so a model that knows the fact just continues with the
value, as in `needles.py`. A relation (who owns a thing, what it weighs) has several
sentences, so the words that ask for a fact may differ from the words that told it.

There are two worlds, with nothing in common but the language: one that models are
*trained* on, and one that models are *asked* about in evaluation. The worlds share no
relation, no sentence, no word of a key and no name; numbers are drawn anew each time.
The asked world uses the words of RULER's needles (`needles.py`), and RULER's own
sentence is one of its relations.
"""

import dataclasses

import numpy as np

from lab.data.needles import QUALITIES, THINGS


@dataclasses.dataclass(frozen=True)
class Relation:
    """A property that a thing may have, and sentences that state it.

    Attributes:
        name: name of the relation in tables.
        kind: kind of value: "number", "name" or "word".
        sentences: with `{key}`, then `{value}`, then at most a few words.
    """

    name: str
    kind: str
    sentences: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class World:
    """Relations, and the words that keys and values are made of."""

    relations: tuple[Relation, ...]
    qualities: tuple[str, ...]
    things: tuple[str, ...]
    first_names: tuple[str, ...]
    surnames: tuple[str, ...]
    words: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Fact:
    """A fact as texts: told as `told + answer + end`, asked as `asked`, then `answer`.

    `key` is the thing that the fact is about. `answer` starts with a space. The asking
    sentence ends, after `answer`, with `asked_end`.
    """

    relation: str
    key: str
    told: str
    answer: str
    end: str
    asked: str
    asked_end: str


def draw(
    random: np.random.Generator,
    world: World,
    count: int,
    *,
    relations: int | None = None,
    reworded: float = 0.0,
) -> list[Fact]:
    """`count` facts about as many different things; relations take turns.

    Args:
        random: decides all choices.
        world: `TRAINED` or `ASKED`.
        count: at most the number of things in the world.
        relations: number of the world's relations to use, None for all. With few of
            them, facts differ only in the thing that they are about.
        reworded: share of facts whose question uses other words than the telling.

    **Raises** `ValueError` for more facts than things.
    """
    size = len(world.qualities) * len(world.things)
    if not 0 <= count <= size:
        raise ValueError(f"There are {size} things to know of: got count={count}.")
    keys = random.choice(size, size=count, replace=False)
    turns = random.permutation(len(world.relations))[:relations]
    return [
        _draw_one(random, world, turns[i % len(turns)], int(key), reworded)
        for i, key in enumerate(keys)
    ]


def _draw_one(random, world: World, turn: int, number: int, reworded: float) -> Fact:
    relation = world.relations[turn]
    quality, thing = divmod(number, len(world.things))
    key = f"{world.qualities[quality]} {world.things[thing]}"
    value = _value(random, world, relation.kind)
    told = asked = int(random.integers(len(relation.sentences)))
    if random.random() < reworded:
        asked = int(random.integers(len(relation.sentences)))
    before, end = _parts(relation.sentences[told], key)
    question, asked_end = _parts(relation.sentences[asked], key)
    return Fact(relation.name, key, before, f" {value}", end, question, asked_end)


def _parts(sentence: str, key: str) -> tuple[str, str]:
    """The text before the value, without its last space, and the text after."""
    before, end = sentence.format(key=key, value="\0").split("\0")
    return before.rstrip(" "), end


def _value(random, world: World, kind: str) -> str:
    if kind == "number":
        digits = int(random.integers(3, 8))
        return str(random.integers(10 ** (digits - 1), 10**digits))
    if kind == "word":
        return _pick(random, world.words)
    return f"{_pick(random, world.first_names)} {_pick(random, world.surnames)}"


def _pick(random, words: tuple[str, ...]) -> str:
    return words[random.integers(len(words))]


def _split(words: str) -> tuple[str, ...]:
    return tuple(words.split())


TRAINED = World(
    relations=(
        Relation(
            "owner",
            "name",
            (
                "The owner of the {key} is {value}.",
                "The {key} belongs to {value}.",
                "Anybody here can tell you that the {key} is the property of {value}.",
            ),
        ),
        Relation(
            "maker",
            "name",
            (
                "The {key} was made by {value}.",
                "On the {key} one reads the name of its maker, {value}.",
            ),
        ),
        Relation(
            "heir",
            "name",
            (
                "After his death the {key} went to {value}.",
                "The will says that the {key} shall go to {value}.",
            ),
        ),
        Relation(
            "keeper",
            "name",
            (
                "Whoever asks for the {key} must speak to {value}.",
                "The {key} is in the care of {value}.",
            ),
        ),
        Relation(
            "price",
            "number",
            (
                "The price of the {key} is {value} pounds.",
                "Nobody would sell the {key} for less than {value} pounds.",
                "They paid for the {key} no less than {value} pounds.",
            ),
        ),
        Relation(
            "entry",
            "number",
            (
                "In the ledger the {key} is entered under number {value}.",
                "The number painted on the {key} is {value}.",
            ),
        ),
        Relation(
            "weight",
            "number",
            (
                "The {key} weighs {value} ounces.",
                "They put the {key} on the scales and read {value} ounces.",
            ),
        ),
        Relation(
            "lock",
            "number",
            (
                "The lock of the {key} opens with {value}.",
                "Remember the figures for the {key}: {value}.",
            ),
        ),
        Relation(
            "place",
            "word",
            (
                "The {key} is kept in {value}.",
                "If you look for the {key}, go to {value}.",
            ),
        ),
        Relation(
            "watchword",
            "word",
            (
                "The watchword of the {key} is {value}.",
                "To be shown the {key} you must whisper {value}.",
            ),
        ),
        Relation(
            "sign",
            "word",
            (
                "Carved into the {key} stands the word {value}.",
                "The letters on the {key} spell {value}.",
            ),
        ),
    ),
    qualities=_split(
        "battered blue brazen broken carved clumsy costly crimson crooked curious dark "
        "dusty elegant empty famous foreign forgotten fragile green grey heavy hidden "
        "large locked mended noble painted plain polished precious purple ragged red "
        "royal rusty scarlet shabby sturdy tall torn triangular white wooden yellow"
    ),
    things=_split(
        "album arrow axe banner bench bible bottle bracelet brooch bucket cabinet cage "
        "carpet carriage chain chair chest cradle crown cup curtain dagger desk diary "
        "fiddle flag flute goblet gun helmet jar jug lens map mask medal musket organ "
        "painting parcel pistol plough portrait ring rope sabre sail shield spade "
        "statue stool sword throne trumpet trunk vase wagon wheel wig"
    ),
    first_names=_split(
        "Agnes Albert Alice Amos Anne Arthur Beatrice Bernard Charlotte Clara Daniel "
        "David Dorothy Edgar Edith Edmund Eleanor Ellen Emily Ernest Esther Felix "
        "Florence Francis George Grace Hannah Harold Henry Hugh Ida Isaac Jacob James "
        "Jane Julia Laura Leonard Lewis Louisa Lucy Martha Mary Matthew Nathan Oliver "
        "Patrick Paul Peter Philip Rachel Ralph Robert Rose Ruth Samuel Sarah Stephen "
        "Susan Thomas Victor Walter William"
    ),
    surnames=_split(
        "Abbott Allen Atkins Baker Barnes Bennett Blake Bradley Brooks Burton Carter "
        "Chapman Clarke Coleman Cooper Dawson Dixon Elliott Ellis Fisher Fletcher Ford "
        "Foster Gibson Graham Grant Gray Griffin Hall Harper Harrison Hawkins Hayes "
        "Holmes Howard Hudson Hughes Jackson Jenkins Johnson Jordan Kelly Kennedy King "
        "Knight Lambert Lane Lawson Marshall Martin Mason Miller Mitchell Moore Morgan "
        "Morris Murray Nelson Newman Norton Osborne Palmer Parker Pearson Perry Porter"
    ),
    words=_split(
        "autumn bacon blanket breakfast brother butter canvas captain chapel cherry "
        "chimney cotton cousin daisy dinner doctor dragon eagle evening feast flannel "
        "forest fountain funeral ginger grammar granite honey hospital justice kitchen "
        "lemon liberty library market marriage mercury money monkey morning mountain "
        "mustard nephew ocean palace paper parlour pepper pigeon pirate poison powder "
        "prison quarrel rabbit ribbon sailor salmon school shepherd soldier stable "
        "sugar summer supper tiger tobacco turkey uncle valley village vinegar violet "
        "water weather widow winter wolf"
    ),
)
ASKED = World(
    relations=(
        Relation(
            "magic number",
            "number",
            ("One of the special magic numbers for {key} is: {value}.",),
        ),
        Relation("height", "number", ("The height of the {key} in inches: {value}.",)),
        Relation(
            "finder", "name", ("It was a child that first saw the {key}, {value}.",)
        ),
        Relation("enemy", "name", ("Nobody hates the {key} as much as {value}.",)),
        Relation(
            "secret", "word", ("The secret of the {key} lies in one word, {value}.",)
        ),
        Relation("smell", "word", ("Strange to say, the {key} smells of {value}.",)),
    ),
    qualities=QUALITIES,
    things=THINGS,
    first_names=_split(
        "Abigail Alexander Ambrose Archibald Augusta Barnaby Benjamin Bridget Caroline "
        "Cecil Christopher Cordelia Cyril Diana Duncan Eliza Frederick Gabriel Gilbert "
        "Harriet Helen Hector Horace Isabel Jasper Joseph Judith Kate Leopold Lydia "
        "Magnus Margaret Maurice Miriam Nicholas Olivia Percival Quentin Rebecca Roger "
        "Sebastian Sophia Theodore Ursula Valentine Vivian Wilfred"
    ),
    surnames=_split(
        "Armstrong Ashton Barlow Beaumont Bishop Buckley Calloway Chester Crawford "
        "Dalton Drake Dudley Farrell Fleming Garland Gilmore Goodwin Hartley Hastings "
        "Holland Ingram Kendall Lockhart Maxwell Mercer Nash Oakley Patterson Prescott "
        "Quincy Ramsey Redmond Sheldon Sinclair Stanton Stokes Thornton Tucker Vaughan "
        "Wallace Warwick Webster Whitaker Winslow York"
    ),
    words=_split(
        "almond amethyst bamboo basil beaver camel cavalry cinnamon clover copper "
        "crystal dolphin elephant emerald falcon fossil gravel hazel heron ivy jasmine "
        "lavender leather lobster magnet marble molasses mushroom nutmeg olive opal "
        "orange oyster parsley peacock pearl plaster rosemary saffron salt sapphire "
        "sulphur thunder turpentine walnut walrus whisky willow wool zebra"
    ),
)
