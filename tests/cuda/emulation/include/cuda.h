// The generated code includes this; emulation.h, which comes first, has all it needs.
