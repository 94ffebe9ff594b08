"""Operations on expressions ("ops") that work on each element by itself, such as `tanh` and `add`."""

from .activations import *
from .arithmetic import *
from .extremes import *
from .functions import *
from .hyperbolic import *
from .powers import *
from .rounding import *
from .trigonometry import *
