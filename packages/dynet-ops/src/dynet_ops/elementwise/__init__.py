"""Operations on expressions ("ops") that work on each element separately, such as `tanh` and `add`."""

from .arithmetic import *
from .functions import *
