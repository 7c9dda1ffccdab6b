//! Stage `view`.
