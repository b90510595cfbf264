//! The one binary: Node::builder() and meridian.
