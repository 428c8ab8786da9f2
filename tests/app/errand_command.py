"""A tiny command for the tests of jobs: it does what its first value says.

python errand_command.py recipes WHAT
"""

import signal
import sys
import time


def main(_verb, what, *rest):
    if what == "says":
        print("over and done", *rest)
    if what == "fails":
        sys.exit("ttt-lab: there is no such thing.")
    if what == "chatters":
        for number in range(20_000):
            print(f"line {number} " + "x" * 60)
    if what == "works":
        work()
    if what == "stubborn":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("nano: step 1/9  1%, 90 s left", flush=True)
        time.sleep(60)


def work():
    try:
        for step in range(600):
            line = (
                f"nano-e2e pretrain step {step}/600  loss 3.1  {step // 6}%, 20 s left"
            )
            print(line, flush=True)
            time.sleep(0.1)
    except KeyboardInterrupt:
        print("ttt-lab: stopped at step 3; saved.")
        sys.exit(130)


main(*sys.argv[1:])
