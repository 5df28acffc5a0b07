//! The fleet's certificate authority: a folder with its key, what it signs, and the tokens
//! with which nodes join once.

mod authority;
mod join;
mod token;

pub use authority::{Authority, Issued, PkiError, Validity};
pub(crate) use join::JoinDoor;
pub use token::{Redeemed, TokenError};
