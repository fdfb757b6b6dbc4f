//! What keeps a table in shape, and goes back to a former version.
//!
//! | module | what |
//! |---|---|
//! | `readers` | the files that readers of this server still need |
//! | `vacuum` | which files no version needs, and deleting them |
//! | `restore` | a new version with the files of a former one |
//! | `compact` | which files to write anew |
//! | `z_order` | an order of rows by several columns at the same time |
//! | `statistics` | the file of what ANALYZE has learnt |
//!
//! Not here: running plans, SQL, checkpoints and the log's clean-up.

mod compact;
pub(super) mod readers;
mod restore;
mod statistics;
mod vacuum;
mod z_order;

pub use compact::Bin;
pub use restore::Restored;
pub(in crate::delta) use vacuum::is_interval;
pub use vacuum::{Awaited, Unneeded, VacuumPlan};
pub use z_order::{COLUMNS_MAX, ZOrder, ZOrderKey};
