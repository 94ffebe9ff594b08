"""Parameters, builders and users' objects in files: `dy.save` and `dy.load`."""
def save_components(fname, components): raise NotImplementedError
def load_components(fname, collection): raise NotImplementedError
