//! Joins and set operations that DataFusion answers wrongly.

use sqlparser::ast::{JoinConstraint, JoinOperator, Select, SetExpr, SetOperator, SetQuantifier};

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

/// Refuses EXCEPT ALL and INTERSECT ALL: DataFusion plans them as semi and anti joins, which do not
/// count how often a row occurs on either side.
pub(super) fn check_set_operations(body: &SetExpr) -> Result<()> {
    let SetExpr::SetOperation { op, set_quantifier, left, right } = body else { return Ok(()) };
    if *set_quantifier == SetQuantifier::All && *op != SetOperator::Union {
        return Err(PlannerError::Unsupported {
            what: format!("{op} ALL"),
            hint: Some(format!("Number equal rows with row_number() and use {op}.")),
        });
    }
    check_set_operations(left)?;
    check_set_operations(right)
}
