"""Save models to files and load them: DyNet's text format, its pairs of `.data` and `.meta` files, and safetensors."""
