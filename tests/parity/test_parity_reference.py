"""The reference installation is DyNet 2.1."""

import subprocess


def test_the_reference_is_dynet_2_1(reference):
    command = [*reference, "-c", "import _dynet, dynet; print(dynet.__version__)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "2.1"
