"""Inputs: functions that make expressions from numbers, arrays, constants and parameters."""

from .inputs import *
