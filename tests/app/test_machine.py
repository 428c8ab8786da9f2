"""The page of the machine's state: every visitor's memory, every model's."""

from test_watch import SENTENCE, folder, live, opened, well, words  # noqa: F401

from app import cache
from lab.reading import memory


def test_it_counts_readings_and_models_and_shows_no_visitors_text(folder):  # noqa: F811
    app = live(opened(), text=SENTENCE * 8)
    app.switch_page("views/machine.py")
    well(app.run())
    told = app.table[0].value.to_string() + app.table[1].value.to_string()
    assert "nano" in told and "ready" in told
    (reading,) = cache.shelf().readings
    assert f"{memory.nbytes(reading) / 1e6:,.1f} MB" in told
    assert "ships" not in told + words(app)
