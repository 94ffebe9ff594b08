"""Models in files: DyNet's text format, its `.data` and `.meta` pairs, and safetensors."""
