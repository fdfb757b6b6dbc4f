//! Arithmetic and casts that fail or round where DataFusion wraps or truncates.
//!
//! The analyzer puts these in the places of operators; users do not call them.

pub mod checked;
pub mod divide;
pub mod round;
pub mod simple;
