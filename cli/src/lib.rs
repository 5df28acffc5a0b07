//! What the `loadbank` binary is made of: verbs and reports.

