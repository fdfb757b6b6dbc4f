//! DECLARE, FETCH, MOVE and CLOSE.

use sqlparser::ast::Statement as Ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::{
    Parsed, Result, expect_word, name, nothing, peek_word, semantics, unexpected, whole_number,
    word, words,
};
use crate::statement::Command;

/// How a cursor is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declare {
    /// The folded name.
    pub name: String,
    /// Rows are sent in the binary format.
    pub binary: bool,
    /// SCROLL, NO SCROLL or neither.
    pub scroll: Option<bool>,
    /// The cursor outlives its transaction.
    pub hold: bool,
}

/// FETCH and MOVE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// The cursor.
    pub name: String,
    /// Which rows.
    pub direction: Direction,
    /// MOVE: the rows are counted and not sent.
    pub only_move: bool,
}

/// Which rows FETCH yields; a count of `None` is ALL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The next rows; 0 is the current row once more, less than 0 is backward.
    Forward(Option<i64>),
    /// The rows before, the nearest first.
    Backward(Option<i64>),
    /// The row of this number from the start, or from the end where it is negative.
    Absolute(i64),
    /// The row so many behind the current one.
    Relative(i64),
}

pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Parsed> {
    if word(parser, "declare") {
        return declare(parser);
    }
    if word(parser, "close") {
        let command = match peek_word(parser, 0).as_deref() {
            Some("all") => {
                parser.next_token();
                Command::Close(None)
            }
            _ => Command::Close(Some(name(parser)?)),
        };
        return Ok((nothing(), command));
    }
    let only_move = word(parser, "move");
    if !only_move {
        expect_word(parser, "fetch")?;
    }
    let direction = direction(parser)?;
    if !word(parser, "from") {
        word(parser, "in");
    }
    let name = name(parser)?;
    Ok((nothing(), Command::Fetch(Fetch { name, direction, only_move })))
}

fn declare(parser: &mut Parser<'_>) -> Result<Parsed> {
    let mut declare = Declare { name: name(parser)?, binary: false, scroll: None, hold: false };
    let (mut sensitive, mut insensitive) = (false, false);
    while !word(parser, "cursor") {
        if word(parser, "binary") {
            declare.binary = true;
        } else if word(parser, "insensitive") {
            insensitive = true;
        } else if word(parser, "asensitive") {
            sensitive = true;
        } else if words(parser, &["no", "scroll"]) {
            check_scroll(declare.scroll, false)?;
            declare.scroll = Some(false);
        } else if word(parser, "scroll") {
            check_scroll(declare.scroll, true)?;
            declare.scroll = Some(true);
        } else {
            return Err(unexpected(parser));
        }
    }
    if sensitive && insensitive {
        return Err(semantics("42P11", "cannot specify both INSENSITIVE and ASENSITIVE"));
    }
    declare.hold = words(parser, &["with", "hold"]);
    if !declare.hold {
        words(parser, &["without", "hold"]);
    }
    expect_word(parser, "for")?;
    let query = parser.parse_query()?;
    if !query.locks.is_empty() && declare.hold {
        return Err(semantics("0A000", "DECLARE CURSOR WITH HOLD ... FOR UPDATE is not supported"));
    }
    Ok((Ast::Query(query), Command::Declare(declare)))
}

fn check_scroll(before: Option<bool>, now: bool) -> Result<()> {
    match before {
        Some(before) if before != now => {
            Err(semantics("42P11", "cannot specify both SCROLL and NO SCROLL"))
        }
        _ => Ok(()),
    }
}

/// Reads the words between FETCH and the cursor's name; none is NEXT.
fn direction(parser: &mut Parser<'_>) -> Result<Direction> {
    if let Some(count) = whole_number(parser)? {
        return Ok(Direction::Forward(Some(count)));
    }
    // A last word is the name of a cursor, whatever it means elsewhere.
    if matches!(parser.peek_nth_token_ref(1).token, Token::EOF) {
        return Ok(Direction::Forward(Some(1)));
    }
    let direction = match peek_word(parser, 0).as_deref() {
        Some("next") => Direction::Forward(Some(1)),
        Some("prior") => Direction::Backward(Some(1)),
        Some("first") => Direction::Absolute(1),
        Some("last") => Direction::Absolute(-1),
        Some("all") => Direction::Forward(None),
        Some(kind @ ("absolute" | "relative")) => {
            parser.next_token();
            let Some(count) = whole_number(parser)? else { return Err(unexpected(parser)) };
            return Ok(match kind {
                "absolute" => Direction::Absolute(count),
                _ => Direction::Relative(count),
            });
        }
        Some(kind @ ("forward" | "backward")) => {
            parser.next_token();
            let count = match whole_number(parser)? {
                Some(count) => Some(count),
                None if word(parser, "all") => None,
                None => Some(1),
            };
            return Ok(match kind {
                "forward" => Direction::Forward(count),
                _ => Direction::Backward(count),
            });
        }
        _ => return Ok(Direction::Forward(Some(1))),
    };
    parser.next_token();
    Ok(direction)
}
