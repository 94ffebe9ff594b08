"""Operations that rearrange or join values, or that leave values unchanged and change only the gradient."""

from .joining import *
from .layout import *
