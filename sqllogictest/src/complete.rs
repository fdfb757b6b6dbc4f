//! `--complete`: writes what the engine answers into the file.

use std::sync::Arc;

use anyhow::{Context, Result};
use sqllogictest_lib::{
    AsyncDB, ExpectedError, Injected, QueryExpect, Record, RecordOutput, StatementExpect,
    default_normalizer, update_record_with_output,
};

use crate::answer::{Letter, SqlError};
use crate::database::Database;
use crate::file_run::{
    PendingConditions, RunOptions, SuiteFile, close, exact_validator, expect_letters,
    letters_match, line_of, open, records_of,
};
use crate::target::Target;

/// Runs a file and replaces its expectations; returns how many records changed.
///
/// Expectations that hold are kept as they are written. Records for other engines, `system` records and included
/// files are not touched.
pub async fn complete_file(
    target: &Arc<Target>,
    file: &SuiteFile,
    options: &RunOptions,
) -> Result<usize> {
    let records = records_of(file)?;
    let (mut runner, state) = open(target, file, options).await?;
    let mut text = String::new();
    let mut n_changed = 0;
    let mut include_depth = 0_usize;
    let mut conditions = PendingConditions::default();
    let mut is_over = false;
    for record in records {
        let record = conditions.apply(record);
        match &record {
            Record::Injected(Injected::BeginInclude(_)) => {
                include_depth += 1;
                continue;
            }
            Record::Injected(Injected::EndInclude(_)) => {
                include_depth -= 1;
                continue;
            }
            Record::Halt { .. } => is_over |= conditions.take_all_hold(target),
            _ => {}
        }
        let mut written = record.clone();
        if !is_over {
            expect_letters(&state, &record);
            let output = runner.apply_record(record.clone()).await;
            if line_of(&record).is_some() {
                written = completed(&record, &output);
            }
        }
        if include_depth == 0 {
            n_changed += usize::from(written.to_string() != record.to_string());
            text.push_str(&format!("{written}\n"));
        }
    }
    close(target, runner, &state).await;
    let text = format!("{}\n", text.trim_end());
    std::fs::write(&file.path, text)
        .with_context(|| format!("cannot write {}", file.path.display()))?;
    Ok(n_changed)
}

fn completed(record: &Record<Letter>, output: &RecordOutput<Letter>) -> Record<Letter> {
    let error = match output {
        RecordOutput::Query { error, .. } | RecordOutput::Statement { error, .. } => error.as_ref(),
        _ => None,
    };
    if let Some(error) = error {
        let error = error.downcast_ref::<SqlError>();
        match (record, error) {
            // The crate does not look at SQLSTATEs here, and takes an empty expectation for a match.
            (
                Record::Statement { expected: StatementExpect::Error(expected), .. }
                | Record::Query { expected: QueryExpect::Error(expected), .. },
                Some(error),
            ) => {
                let sqlstate = Database::error_sql_state(error);
                if !matches!(expected, ExpectedError::Empty)
                    && expected.is_match(&error.to_string(), sqlstate.as_deref())
                {
                    return record.clone();
                }
                return with_error(record, expecting(&error.to_string()));
            }
            (Record::Query { .. } | Record::Statement { .. }, Some(error)) => {
                return with_error(record, expecting(&error.to_string()));
            }
            _ => return record.clone(),
        }
    }
    update_record_with_output(
        record,
        output,
        " ",
        exact_validator,
        default_normalizer,
        letters_match,
    )
    .unwrap_or_else(|| record.clone())
}

/// A pattern for exactly this message, with as few escapes as it takes.
fn expecting(message: &str) -> ExpectedError {
    let mut pattern = String::new();
    for c in message.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    match regex::Regex::new(&pattern) {
        Ok(regex) if !message.contains('\n') => ExpectedError::Inline(regex),
        _ => ExpectedError::Multiline(message.trim().to_owned()),
    }
}

fn with_error(record: &Record<Letter>, error: ExpectedError) -> Record<Letter> {
    let mut record = record.clone();
    match &mut record {
        Record::Statement { expected, .. } => *expected = StatementExpect::Error(error),
        Record::Query { expected, .. } => *expected = QueryExpect::Error(error),
        _ => {}
    }
    record
}
