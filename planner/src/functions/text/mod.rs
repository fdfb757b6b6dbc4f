//! Functions on texts that DataFusion lacks or defines otherwise.
//!
//! | module | what |
//! |---|---|
//! | `basic` | `upper`, `lpad`, `repeat`, `split_part`, `substring`, `chr`, … |
//! | `format` | `format(template, …)`, `concat`, `concat_ws` |
//! | `normalize` | `normalize`, `IS NORMALIZED` |
//! | `encoding` | `encode`, `decode`, `to_hex`, `unistr`, `hashtext` |

mod basic;
mod encoding;
mod format;
mod normalize;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

pub(crate) use basic::SUBSTRING;
pub(crate) use encoding::bytea;

/// All of them, which take the places of DataFusion's of the same names.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = basic::functions();
    functions.extend(format::functions());
    functions.extend(encoding::functions());
    functions.extend(normalize::functions());
    functions
}
