"""Kernels, tape machine and planner of DyNet, compiled by Apache TVM."""
