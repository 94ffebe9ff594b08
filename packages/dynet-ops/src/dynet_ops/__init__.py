"""All operations of DyNet."""

from . import as_methods, elementwise, input, loss, matrix, network, random, reduce, select, shape
from .elementwise import *
from .input import *
from .loss import *
from .matrix import *
from .network import *
from .random import *
from .reduce import *
from .select import *
from .shape import *

__all__: list[str] = []
__all__ += elementwise.__all__
__all__ += input.__all__
__all__ += loss.__all__
__all__ += matrix.__all__
__all__ += network.__all__
__all__ += random.__all__
__all__ += reduce.__all__
__all__ += select.__all__
__all__ += shape.__all__

as_methods.install()
