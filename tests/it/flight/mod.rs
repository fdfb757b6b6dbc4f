//! Flight SQL call by call, without a driver: messages are put together by hand, so that wrong
//! ones can be.
//!
//! | module | what |
//! |---|---|
//! | `caller` | a connection, its calls, and protobuf by hand |
//! | `databases` | which database a session is in |
//! | `handles` | tickets, prepared statements and tokens that are wrong, used up or someone else's |
//! | `statements` | statements and messages that are too large, or no messages at all |
//! | `parameters` | batches that do not fit their statement |
//! | `streaming` | readers that stop, cancel, go away |

mod caller;
mod databases;
mod handles;
mod parameters;
mod statements;
mod streaming;
