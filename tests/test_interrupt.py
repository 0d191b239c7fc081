"""Ctrl-C as a question: the first is an answer, the second is an end, and afterwards all is as it was."""

import os
import signal
import threading
from pathlib import Path

import pytest
from tiny_network import python

from jaxstyle.synthesis.interrupt import CTRL_C, END_OF_JOB, interruptible


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_only_makes_the_answer_true():
    with interruptible(END_OF_JOB) as interrupted:
        assert not interrupted()
        press_ctrl_c()
        assert interrupted()


def test_the_second_raises():
    with interruptible(END_OF_JOB) as interrupted:
        press_ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            press_ctrl_c()
        assert interrupted()


def test_afterwards_the_handler_is_the_one_that_was_there():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible(END_OF_JOB):
        [press_ctrl_c() for _ in range(2)]
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_nothing_is_installed():
    answers = []

    def work() -> None:
        before = signal.getsignal(signal.SIGINT)
        with interruptible(END_OF_JOB) as interrupted:
            answers.append((interrupted(), signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [(False, True)]


def test_the_end_of_a_clusters_job_counts_as_ctrl_c():
    before = signal.getsignal(signal.SIGTERM)
    with interruptible(END_OF_JOB) as interrupted:
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupted()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_library_leaves_the_end_of_a_job_to_its_caller():
    before = signal.getsignal(signal.SIGTERM)
    with interruptible(CTRL_C) as interrupted:
        assert signal.getsignal(signal.SIGTERM) is before
        press_ctrl_c()
        assert interrupted()
        assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("signals", [CTRL_C, END_OF_JOB])
def test_a_handler_that_python_does_not_know_is_left_alone(signals, monkeypatch: pytest.MonkeyPatch):
    """Such as an embedding program's: `signal.getsignal` returns None, which `signal.signal` does not take."""
    taken = []
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    monkeypatch.setattr(signal, "signal", lambda *arguments: taken.append(arguments))
    with interruptible(signals) as interrupted:
        assert not interrupted()
    assert taken == []


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes otherwise")
def test_a_script_that_loops_over_transfers_ends_with_its_job(tmp_path: Path):
    """In a process of its own, which would outlive the signal by a second transfer."""
    program = """
import os, signal
import numpy as np
import jaxstyle.synthesis.transfer as module
from tiny_network import tiny_network
module.load_weights = lambda name: tiny_network()
image = np.random.default_rng(0).uniform(size=(16, 16, 3))
layers = {"content_layers": ["conv1_1"], "style_layers": ["conv1_1"]}
def end_job(iterations, best):
    print("transfer", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
for _ in range(2):
    module.transfer(
        image, image, image={"size": 16}, loss=layers, optimizer={"iterations": 2}, observe=end_job
    )
"""
    done = python(program, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "transfer\n", "")
