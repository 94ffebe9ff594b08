"""The recorder counts the keys that seed the draws of random nodes."""

import sys

from dynet_core.recorder import named_words


def test_no_key_is_drawn_twice_if_a_handler_draws_while_the_state_is_read():
    drawn = [named_words.draw_key()]

    def draw_at_each_line(frame, event, _):
        if frame.f_code is named_words.random_state.__code__ and event == "line":
            drawn.append(named_words.draw_key())
        return draw_at_each_line

    before = sys.gettrace()
    sys.settrace(draw_at_each_line)
    try:
        named_words.random_state()
    finally:
        sys.settrace(before)
    drawn.append(named_words.draw_key())
    assert len(drawn) > 3
    assert drawn == list(range(drawn[0], drawn[0] + len(drawn)))


def test_the_state_says_how_many_keys_were_drawn():
    before = named_words.random_state()
    try:
        named_words.set_random_state(5, 7)
        assert named_words.random_state() == (5, 7)
        assert named_words.draw_key() == 7
        assert named_words.random_state() == (5, 8)
    finally:
        named_words.set_random_state(*before)
