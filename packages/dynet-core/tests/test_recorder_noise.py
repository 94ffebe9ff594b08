"""The recorder in Python counts the keys from which random nodes draw their numbers."""

import sys

from dynet_core.recorder import python_records


def test_no_key_is_drawn_twice_if_a_handler_draws_while_the_state_is_read():
    drawn = [python_records.draw()]

    def draw_at_each_line(frame, event, _):
        if frame.f_code is python_records.noise.__code__ and event == "line":
            drawn.append(python_records.draw())
        return draw_at_each_line

    before = sys.gettrace()
    sys.settrace(draw_at_each_line)
    try:
        python_records.noise()
    finally:
        sys.settrace(before)
    drawn.append(python_records.draw())
    assert len(drawn) > 3
    assert drawn == list(range(drawn[0], drawn[0] + len(drawn)))


def test_the_state_says_how_many_keys_were_drawn():
    before = python_records.noise()
    try:
        python_records.set_noise(5, 7)
        assert python_records.noise() == (5, 7)
        assert python_records.draw() == 7
        assert python_records.noise() == (5, 8)
    finally:
        python_records.set_noise(*before)
