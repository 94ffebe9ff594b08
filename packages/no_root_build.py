"""Stands where a build of the repository's root would begin, since six distributions are built from its folders."""

raise SystemExit(
    "The root of this repository is no package. Run: pip install -r requirements.txt\n"
    "It installs all packages, editable, from this tree. One of them alone: pip install ./packages/dynet-kernels"
)
