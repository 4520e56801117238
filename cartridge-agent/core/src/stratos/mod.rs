//! Apache Stratos 4.1: what its members say and hear.

pub mod health;
