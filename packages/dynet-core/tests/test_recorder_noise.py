"""The recorder in Python counts the keys from which random nodes draw their numbers."""

import sys

from dynet_core.recorder import plain_records


def test_no_key_is_drawn_twice_if_a_handler_draws_while_the_state_is_read():
    drawn = [plain_records.draw()]

    def draw_at_each_line(frame, event, _):
        if frame.f_code is plain_records.noise.__code__ and event == "line":
            drawn.append(plain_records.draw())
        return draw_at_each_line

    before = sys.gettrace()
    sys.settrace(draw_at_each_line)
    try:
        plain_records.noise()
    finally:
        sys.settrace(before)
    drawn.append(plain_records.draw())
    assert len(drawn) > 3
    assert drawn == list(range(drawn[0], drawn[0] + len(drawn)))


def test_the_state_says_how_many_keys_were_drawn():
    before = plain_records.noise()
    try:
        plain_records.set_noise(5, 7)
        assert plain_records.noise() == (5, 7)
        assert plain_records.draw() == 7
        assert plain_records.noise() == (5, 8)
    finally:
        plain_records.set_noise(*before)
