"""A notebook in a kernel of its own: a failing cell, and a kernel that does nothing."""

import os
import signal
import threading

import nbformat
import pytest

from lab.course import running


def notebook(*sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.v4.new_notebook(cells=cells)


def test_cells_are_counted_and_a_failing_one_is_named(tmp_path):
    done, environment = [], {"COURSE": "on"}
    cells = ("import os\nprint(os.environ['COURSE'])", "1 / 0", "print('never')")
    one = notebook(*cells)
    with pytest.raises(running.CellFailed, match="cell 2 failed: ZeroDivisionError"):
        running.run(one, tmp_path, environment=environment, cell_done=done.append)
    assert done[0] == 1 and one.cells[0].outputs[0].text == "on\n"


@pytest.mark.slow
def test_a_kernel_that_does_nothing_is_given_up_and_begun_again(tmp_path, monkeypatch):
    monkeypatch.setattr(running.PatientClient, "silent_s", 3.0)
    silent = (
        "import os, time\n"
        "if os.path.exists('been'): print('second time')\n"
        "else: open('been', 'w').close(); time.sleep(120)"
    )
    said, one = [], notebook(silent)
    running.run(one, tmp_path, environment={}, say=said.append)
    assert one.cells[0].outputs[0].text == "second time\n"
    assert len(said) == 1 and "done nothing for 3 s" in said[0]


@pytest.mark.slow
def test_a_kernel_that_works_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(running.PatientClient, "silent_s", 3.0)
    busy = "import time\nend = time.time() + 8\nwhile time.time() < end: pass\nprint(1)"
    one = notebook(busy)
    running.run(one, tmp_path, environment={})
    assert one.cells[0].outputs[0].text == "1\n"


@pytest.mark.slow
def test_ctrl_c_ends_a_run_and_signals_go_where_they_went_before(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    soon = lambda count: threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    one = notebook("1", "import time\ntime.sleep(100)")
    with pytest.raises(KeyboardInterrupt):
        running.run(one, tmp_path, environment={}, cell_done=lambda n: soon(n).start())
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
