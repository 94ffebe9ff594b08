"""Inputs: functions that make expressions of numbers, arrays, constants and parameters."""

from .inputs import *
