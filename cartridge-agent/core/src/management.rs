//! management.
