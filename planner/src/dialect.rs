//! tarn's SQL dialect: PostgreSQL plus table versions.

use std::any::TypeId;

use sqlparser::ast::{BinaryOperator, Expr};
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};

/// PostgreSQL's dialect with `VERSION AS OF` and `TIMESTAMP AS OF`.
///
/// It answers to the parser's questions "is this PostgreSQL?" with yes, because parts of the
/// parser ask for the dialect by type.
#[derive(Debug, Default)]
pub(crate) struct TarnDialect {
    postgres: PostgreSqlDialect,
}

/// Forwards methods without arguments that answer yes or no.
macro_rules! forward {
    ($($name:ident),* $(,)?) => {
        $(fn $name(&self) -> bool { self.postgres.$name() })*
    };
}

impl Dialect for TarnDialect {
    fn dialect(&self) -> TypeId {
        self.postgres.dialect()
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    forward!(
        supports_unicode_string_literal,
        supports_filter_during_aggregation,
        supports_group_by_expr,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_create_index_with_clause,
        supports_explain_with_utility_options,
        supports_listen_notify,
        supports_factorial_operator,
        supports_bitwise_shift_operators,
        supports_comment_on,
        supports_load_extension,
        supports_named_fn_args_with_colon_operator,
        supports_named_fn_args_with_expr_name,
        supports_empty_projections,
        supports_nested_comments,
        supports_string_escape_constant,
        supports_numeric_literal_underscores,
        supports_array_typedef_with_brackets,
        supports_geometric_types,
        supports_set_names,
        supports_alter_column_type_using,
        supports_notnull_operator,
        supports_interval_options,
        supports_insert_table_alias,
        supports_create_table_like_parenthesized,
        supports_select_wildcard_with_alias,
        supports_comma_separated_trim,
        supports_xml_expressions,
    );

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        self.postgres.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        self.postgres.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.postgres.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.postgres.is_identifier_part(ch)
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        self.postgres.is_reserved_for_identifier(keyword)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        self.postgres.is_custom_operator_part(ch)
    }

    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        expr: &Expr,
        _precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        if let Some(distinct) = distinct(parser) {
            // The parser below takes all that follows for the right operand, AND and OR too.
            let right = parser.parse_subexpr(self.prec_value(Precedence::Is));
            let left = Box::new(expr.clone());
            return Some(right.map(|right| match distinct {
                true => Expr::IsDistinctFrom(left, Box::new(right)),
                false => Expr::IsNotDistinctFrom(left, Box::new(right)),
            }));
        }
        let negated = symmetric(parser)?;
        Some(self.between(parser, expr, negated))
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        self.postgres.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        self.postgres.prec_value(precedence)
    }
}

impl TarnDialect {
    /// `x BETWEEN SYMMETRIC a AND b` as two ranges, behind the word SYMMETRIC.
    fn between(
        &self,
        parser: &mut Parser<'_>,
        expr: &Expr,
        negated: bool,
    ) -> Result<Expr, ParserError> {
        let precedence = self.prec_value(Precedence::Between);
        let low = parser.parse_subexpr(precedence)?;
        parser.expect_keyword(Keyword::AND)?;
        let high = parser.parse_subexpr(precedence)?;
        let range = |low: &Expr, high: &Expr| Expr::Between {
            expr: Box::new(expr.clone()),
            negated,
            low: Box::new(low.clone()),
            high: Box::new(high.clone()),
        };
        let op = if negated { BinaryOperator::And } else { BinaryOperator::Or };
        Ok(Expr::Nested(Box::new(Expr::BinaryOp {
            left: Box::new(range(&low, &high)),
            op,
            right: Box::new(range(&high, &low)),
        })))
    }
}

/// Takes `IS [NOT] DISTINCT FROM`; whether NOT was absent.
fn distinct(parser: &mut Parser<'_>) -> Option<bool> {
    use Keyword::{DISTINCT, FROM, IS, NOT};
    if parser.parse_keywords(&[IS, DISTINCT, FROM]) {
        return Some(true);
    }
    parser.parse_keywords(&[IS, NOT, DISTINCT, FROM]).then_some(false)
}

/// Takes `[NOT] BETWEEN SYMMETRIC`; whether NOT was there.
fn symmetric(parser: &mut Parser<'_>) -> Option<bool> {
    use Keyword::{BETWEEN, NOT, SYMMETRIC};
    if parser.parse_keywords(&[BETWEEN, SYMMETRIC]) {
        return Some(false);
    }
    parser.parse_keywords(&[NOT, BETWEEN, SYMMETRIC]).then_some(true)
}
