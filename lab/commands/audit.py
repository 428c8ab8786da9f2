"""`ttt-lab audit`: a certificate that a model sees nothing before its time.

ttt-lab audit tiny-e2e tiny-swa
"""

import functools
import time

import numpy as np
from rich.table import Table

from lab import runs
from lab.commands.options import Models
from lab.commands.progress import FEW, Bar
from lab.commands.terminal import Terminal
from lab.measure import certificates
from lab.measure.certificates import FAILED, NOT_APPLICABLE, Certificate, Check
from lab.stopping import Stopped


DOCUMENT = "sotu-chronicle"  # installed with the lab
CHARACTERS = 16  # of text for a token that is needed: more than any tokenizer takes
STYLES = {FAILED: "red", NOT_APPLICABLE: "dim"}


def audit(
    models: Models,
    /,
    document: str = DOCUMENT,
    seed: int = 0,
    publish: bool = False,
):
    """Prove that no loss sees the future: a dozen checks, and a certificate.

    Tokens are changed, documents and neighbours in a batch exchanged, targets masked,
    steps computed again by hand: what came before must keep its bits. Model and frozen
    twin are checked, as streams and as whole sequences. The certificate is found by the
    hash of the model; recorded readings and the explorer show it as one line.

    Args:
        models: published names, runs or paths.
        document: what is read: a name that `ttt-lab data list` shows, or a text file.
        seed: decides which tokens replace others, and the trials of the controls.
        publish: keep the certificates in lab/published/certificates.

    **Raises** `ValueError` naming the checks that failed, if any did.
    """
    from lab import checkpoints
    from lab.data import documents

    if not models:
        raise ValueError("Name one or more models, such as `ttt-lab audit tiny-e2e`.")
    text = documents.load(document).text
    cards = {model: checkpoints.card(model) for model in models}  # refused at once
    found: list[Certificate] = []
    try:
        for model, card in cards.items():
            found.append(_audit(model, card, text, document, seed))
            path = certificates.keep(found[-1], publish=publish)
            show(found[-1])
            Terminal().print(f"certificate: {runs.shown(path)}", soft_wrap=True)
    except KeyboardInterrupt as error:
        raise Stopped(_kept(found, len(cards))) from error
    if failed := [
        f"{one.model} ({', '.join(one.failed)})" for one in found if one.failed
    ]:
        raise ValueError(f"not every model passed its audit: {'; '.join(failed)}.")


def _audit(model: str, card: dict, text: str, document: str, seed: int) -> Certificate:
    import jax

    from lab import checkpoints
    from lab.data import tokenizers
    from lab.evals import audit as numbers
    from lab.measure.subject import needed
    from lab.training import provenance

    loaded, began = checkpoints.load(model), time.monotonic()
    least = needed(loaded.config)
    tokenizer = tokenizers.load(card["tokenizer"])
    tokens = np.asarray(tokenizer.encode(text[: CHARACTERS * least])[:least], np.int32)
    with Bar(1, lines=FEW, passing=True) as bar:

        def report(done: int, total: int, name: str):
            bar.total = total
            words = f"{done} of {total} checks  {name}"
            bar.show(done, f"auditing {card['name']}", words)

        checks = numbers.audit(loaded, tokens, seed=seed, report=report)
    return Certificate(
        model=card["name"],
        model_hash=checkpoints.model_hash(loaded),
        commit=_commit(),
        source=provenance.version(),
        device=jax.devices()[0].device_kind,
        made=certificates.now(),
        text=f"{least:,} tokens of {document}",
        seed=seed,
        seconds=round(time.monotonic() - began, 1),
        checks=checks,
    )


@functools.cache
def _commit() -> str:
    """The commit that runs here; what it publishes does not count as a change."""
    return runs.commit()


def show(found: Certificate):
    """One line per check, then the certificate in one line."""
    table = Table(
        "check",
        "what was tried",
        "verdict",
        "worst number",
        title=f"{found.model}: is anything seen before its time?",
        caption=f"{found.text}, seed {found.seed}, {found.seconds:.0f} s",
    )
    for one in found.checks:
        said = f"{one.tried} ({one.why})" if one.why else one.tried
        style = STYLES.get(one.verdict)
        table.add_row(one.name, said, one.verdict, _worst(one), style=style)
    Terminal().print(table)
    Terminal().print(f"{found.model} was {found.line}.", soft_wrap=True)


def _worst(check: Check) -> str:
    return "" if check.worst is None else f"{check.worst:.2g} {check.unit}"


def _kept(found: list[Certificate], asked: int) -> str:
    """The last sentence of an audit that was stopped."""
    if not found:
        return "stopped before the first audit was done; no certificate was written"
    names = ", ".join(one.model for one in found)
    are = "is" if len(found) == 1 else "are"
    return f"stopped; {len(found)} of {asked} certificates {are} kept: {names}"
