//! Stage `recording`.
