"""Ctrl-C as a question: the first is an answer, the second is an end, and afterwards all is as it was."""

import os
import signal
import threading

import pytest

from jaxstyle.synthesis.interrupt import interruptible


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_only_makes_the_answer_true():
    with interruptible() as interrupted:
        assert not interrupted()
        press_ctrl_c()
        assert interrupted()


def test_the_second_raises():
    with interruptible() as interrupted:
        press_ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            press_ctrl_c()
        assert interrupted()


def test_afterwards_the_handler_is_the_one_that_was_there():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible():
        [press_ctrl_c() for _ in range(2)]
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_nothing_is_installed():
    answers = []

    def work() -> None:
        before = signal.getsignal(signal.SIGINT)
        with interruptible() as interrupted:
            answers.append((interrupted(), signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [(False, True)]


def test_the_end_of_a_clusters_job_counts_as_ctrl_c():
    before = signal.getsignal(signal.SIGTERM)
    with interruptible() as interrupted:
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupted()
    assert signal.getsignal(signal.SIGTERM) is before
