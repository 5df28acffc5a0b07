//! The site graph: what several nodes share.
