//! Joins that DataFusion answers wrongly.

use sqlparser::ast::{JoinConstraint, JoinOperator, Select};

use crate::error::{PlannerError, Result};

/// Refuses RIGHT and FULL joins with merged columns: DataFusion takes the merged column from the
/// left side, so that it is NULL for rows of the right side only (apache/datafusion#22881).
pub(super) fn check(select: &Select) -> Result<()> {
    for join in select.from.iter().flat_map(|table| &table.joins) {
        let (kind, constraint) = match &join.join_operator {
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
                ("RIGHT", constraint)
            }
            JoinOperator::FullOuter(constraint) => ("FULL", constraint),
            _ => continue,
        };
        let merged = match constraint {
            JoinConstraint::Using(_) => "USING",
            JoinConstraint::Natural => "NATURAL",
            JoinConstraint::On(_) | JoinConstraint::None => continue,
        };
        return Err(PlannerError::Unsupported {
            what: format!("{kind} JOIN with {merged}"),
            hint: Some("Write ON l.k = r.k and select COALESCE(l.k, r.k).".to_owned()),
        });
    }
    Ok(())
}
