//! BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE and SET TRANSACTION.

use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::{Parsed, Result, expect_word, name, nothing, unexpected, word, words};
use crate::error::PlannerError;
use crate::statement::Command;

/// What BEGIN and SET TRANSACTION say of a transaction; `None` leaves it as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransactionModes {
    /// The value of `transaction_isolation`.
    pub isolation: Option<&'static str>,
    /// READ ONLY or READ WRITE.
    pub read_only: Option<bool>,
    /// DEFERRABLE or not.
    pub deferrable: Option<bool>,
}

pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Parsed> {
    let command = if word(parser, "begin") {
        block_word(parser);
        Command::Begin { modes: modes(parser)?, verb: "BEGIN" }
    } else if word(parser, "start") {
        expect_word(parser, "transaction")?;
        Command::Begin { modes: modes(parser)?, verb: "START TRANSACTION" }
    } else if word(parser, "commit") || word(parser, "end") {
        if word(parser, "prepared") {
            return Err(two_phase());
        }
        block_word(parser);
        Command::Commit { chain: chain(parser)? }
    } else if word(parser, "rollback") || word(parser, "abort") {
        rollback(parser)?
    } else if word(parser, "savepoint") {
        Command::Savepoint(name(parser)?)
    } else if word(parser, "release") {
        word(parser, "savepoint");
        Command::Release(name(parser)?)
    } else if words(parser, &["prepare", "transaction"]) {
        return Err(two_phase());
    } else {
        set(parser)?
    };
    Ok((nothing(), command))
}

fn two_phase() -> super::GrammarError {
    PlannerError::Unsupported {
        what: "two-phase commit".to_owned(),
        hint: Some("Use COMMIT: a transaction ends where its session does.".to_owned()),
    }
    .into()
}

fn block_word(parser: &mut Parser<'_>) {
    if !word(parser, "work") {
        word(parser, "transaction");
    }
}

fn chain(parser: &mut Parser<'_>) -> Result<bool> {
    if !word(parser, "and") {
        return Ok(false);
    }
    let no = word(parser, "no");
    expect_word(parser, "chain")?;
    Ok(!no)
}

fn rollback(parser: &mut Parser<'_>) -> Result<Command> {
    if word(parser, "prepared") {
        return Err(two_phase());
    }
    block_word(parser);
    if word(parser, "to") {
        word(parser, "savepoint");
        return Ok(Command::RollbackTo(name(parser)?));
    }
    Ok(Command::Rollback { chain: chain(parser)? })
}

fn set(parser: &mut Parser<'_>) -> Result<Command> {
    expect_word(parser, "set")?;
    let session = words(parser, &["session", "characteristics", "as"]);
    expect_word(parser, "transaction")?;
    if word(parser, "snapshot") {
        return Err(PlannerError::unsupported("SET TRANSACTION SNAPSHOT").into());
    }
    let modes = modes(parser)?;
    if modes == TransactionModes::default() {
        return Err(unexpected(parser));
    }
    Ok(Command::SetTransaction { modes, session })
}

fn modes(parser: &mut Parser<'_>) -> Result<TransactionModes> {
    let mut modes = TransactionModes::default();
    loop {
        if words(parser, &["isolation", "level"]) {
            modes.isolation = Some(isolation(parser)?);
        } else if words(parser, &["read", "only"]) {
            modes.read_only = Some(true);
        } else if words(parser, &["read", "write"]) {
            modes.read_only = Some(false);
        } else if word(parser, "deferrable") {
            modes.deferrable = Some(true);
        } else if words(parser, &["not", "deferrable"]) {
            modes.deferrable = Some(false);
        } else if parser.peek_token_ref().token == Token::EOF {
            return Ok(modes);
        } else {
            return Err(unexpected(parser));
        }
        if parser.consume_token(&Token::Comma) && parser.peek_token_ref().token == Token::EOF {
            return Err(unexpected(parser));
        }
    }
}

fn isolation(parser: &mut Parser<'_>) -> Result<&'static str> {
    Ok(if word(parser, "serializable") {
        "serializable"
    } else if words(parser, &["repeatable", "read"]) {
        "repeatable read"
    } else if words(parser, &["read", "committed"]) {
        "read committed"
    } else if words(parser, &["read", "uncommitted"]) {
        "read uncommitted"
    } else {
        return Err(unexpected(parser));
    })
}
