"""A graph's `Watch` is found even if a signal handler runs during the search."""

import sys

from dynet_core.graph import Graph, Watch, current


def test_a_handler_renews_the_graph_while_its_watch_is_made():
    graph = current()
    graph.renew()

    def forget(frame, event, _):
        if frame.f_code is Graph.watch_or_new.__code__ and event == "line":
            graph.watch = None  # as `renew_cg` does
        return forget

    before = sys.gettrace()
    sys.settrace(forget)
    try:
        watch = graph.watch_or_new()
    finally:
        sys.settrace(before)
        graph.renew()
    assert isinstance(watch, Watch)
