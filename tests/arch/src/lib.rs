//! The arrow test over the workspace graph.
