//! Stage `target`.
