"""Lists every name that DyNet has: of the modules, of `from dynet import *`, and of the classes."""

import types

from report import report

import _dynet
import dynet as dy
import dynet_config

CYTHON = ("__pyx_", "__reduce_cython__", "__setstate__", "__setstate_cython__", "__test__", "__deprecation_shown")
MODULE = {*vars(types.ModuleType("m")), "__builtins__", "__cached__", "__file__", "__path__"}
OBJECT = {*dir(object), "__dict__", "__module__", "__weakref__"}


def names_of(thing, aside):
    return sorted(name for name in dir(thing) if name not in aside and not name.startswith(CYTHON))


def main():
    star = {}
    exec("from dynet import *", star)
    classes = [name for name in names_of(dy, MODULE) if isinstance(getattr(dy, name), type)]
    report(
        {
            "dynet": names_of(dy, MODULE),
            "from dynet import *": sorted(star.keys() - MODULE),
            "_dynet": names_of(_dynet, MODULE),
            "dynet_config": names_of(dynet_config, MODULE),
            "classes": {name: names_of(getattr(dy, name), OBJECT) for name in classes},
        }
    )


if __name__ == "__main__":
    main()
