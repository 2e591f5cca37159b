//! The requests of an NMS for each kind of work that is measured.

use agentx::SubId;
use anyhow::Result;

use crate::{
    peers::objects::Objects,
    requests::snmp::{Question, Variable},
};

/// The repetitions of each GetBulk.
pub const REPETITIONS: u32 = 50;

/// Returns one GET of all scalars.
///
/// # Errors
/// Returns an error if it cannot be encoded.
pub fn all_scalars() -> Result<Vec<Question>> {
    Ok(vec![Question::get(1, (1..=Objects::BIG.scalars).map(scalar).collect())?])
}

/// Returns a GET of each scalar.
///
/// # Errors
/// Returns an error if one of them cannot be encoded.
pub fn each_scalar() -> Result<Vec<Question>> {
    (1..=Objects::BIG.scalars).map(|number| Question::get(i32::try_from(number)?, vec![scalar(number)])).collect()
}

/// Returns the GetBulk requests of a walk of all columns side by side.
///
/// # Errors
/// Returns an error if one of them cannot be encoded.
pub fn ten_columns(objects: Objects) -> Result<Vec<Question>> {
    let question = |page: u32| {
        let first = page * REPETITIONS;
        let after: Vec<Vec<SubId>> = (0..objects.columns).map(|column| Objects::cell(column, first)).collect();
        let rows = first + 1..=first + REPETITIONS;
        let answer = rows.flat_map(|row| (0..objects.columns).map(move |column| cell(column, row))).collect();
        Question::get_bulk(i32::try_from(page)? + 1, REPETITIONS, &after, answer)
    };
    (0..objects.rows / REPETITIONS).map(question).collect()
}

/// Returns the GetBulk requests of a walk of one column after the other.
///
/// # Errors
/// Returns an error if one of them cannot be encoded.
pub fn one_column(objects: Objects) -> Result<Vec<Question>> {
    let pages = objects.rows / REPETITIONS;
    let question = |number: u32| {
        let (column, first) = (number / pages, number % pages * REPETITIONS);
        let answer = (first + 1..=first + REPETITIONS).map(|row| cell(column, row)).collect();
        Question::get_bulk(i32::try_from(number)? + 1, REPETITIONS, &[Objects::cell(column, first)], answer)
    };
    (0..pages * objects.columns).map(question).collect()
}

/// Returns a GET of the last cell, which is served when all cells are.
///
/// # Errors
/// Returns an error if it cannot be encoded.
pub fn last_cell() -> Result<Question> {
    Question::get(0, vec![cell(Objects::BIG.columns - 1, Objects::BIG.rows)])
}

fn cell(column: u32, row: u32) -> Variable {
    (Objects::cell(column, row), Objects::BIG.cell_value(column, row))
}

fn scalar(scalar: u32) -> Variable {
    (Objects::scalar(scalar), Objects::scalar_value(scalar))
}
