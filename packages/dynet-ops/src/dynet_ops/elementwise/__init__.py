"""Operations on expressions ("ops") that work on each element by itself, such as `tanh` and `add`."""

from .arithmetic import *
from .functions import *
