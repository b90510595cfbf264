//! Store in memory: the model other backends are compared with.
