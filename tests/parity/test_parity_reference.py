"""The reference is what it should be."""

import subprocess


def test_the_reference_is_dynet_2_1(reference):
    command = [*reference, "-c", "import _dynet, dynet; print(dynet.__version__)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "2.1"
