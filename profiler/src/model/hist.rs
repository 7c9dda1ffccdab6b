//! Waiting times.

use serde::{Deserialize, Serialize};

/// placeholder until the model lands
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WaitHist;
