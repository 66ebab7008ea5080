//! The operations of the core: instructions and allocations for building a request and reading its response.

use serde::Serialize;

use loginradius_bench::operations::{Implementation, Operation};
use loginradius_bench::valgrind::{Cost, callgrind};
use loginradius_bench::{Result, row};

use crate::baseline::{Costs, OperationCost};

/// What an operation costs each implementation; `None` if it does not have the operation.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    op: &'static str,
    ours: Counted,
    oauth2: Option<Counted>,
    floor: Counted,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Counted {
    ir: u64,
    allocs: u64,
}

impl From<Cost> for Counted {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small positive numbers")]
    fn from(cost: Cost) -> Self {
        Self { ir: cost.instructions.round() as u64, allocs: cost.allocations.round() as u64 }
    }
}

/// Measures every operation.
pub(crate) fn measure() -> Result<Vec<Measured>> {
    Operation::ALL.into_iter().map(measure_operation).collect()
}

fn measure_operation(operation: Operation) -> Result<Measured> {
    let count = |implementation: Implementation| -> Result<Counted> {
        Ok(callgrind(&["operation", operation.name(), implementation.name()])?.into())
    };
    let has_oauth2 = Implementation::Oauth2.prepare(operation, 0).is_some();
    Ok(Measured {
        op: operation.name(),
        ours: count(Implementation::Ours)?,
        oauth2: has_oauth2.then(|| count(Implementation::Oauth2)).transpose()?,
        floor: count(Implementation::Floor)?,
    })
}

/// Prints what every operation costs.
pub(crate) fn compare() -> Result<()> {
    print(&measure()?);
    Ok(())
}

/// Returns what the guard compares.
pub(crate) fn costs(measured: &[Measured]) -> Costs {
    let cost = |measured: &Measured| {
        let ratio = measured.ours.ir as f64 / measured.floor.ir as f64;
        let instructions_per_floor = (ratio * 1e3).round() / 1e3;
        (measured.op.to_owned(), OperationCost { instructions_per_floor, allocations: measured.ours.allocs })
    };
    measured.iter().map(cost).collect()
}

fn print(measured: &[Measured]) {
    println!(
        "Instructions / allocations for building the request and reading the response. The floor has the same bytes,"
    );
    println!("and promises nothing else.\n");
    row(&["operation", "ours", "oauth2", "floor", "ours ÷ floor", "ours ÷ oauth2"]);
    row(&["---"; 6]);
    for Measured { op, ours, oauth2, floor } in measured {
        let cost = |counted: &Counted| format!("{} / {}", counted.ir, counted.allocs);
        let ratio = |other: &Counted| format!("{:.2}", ours.ir as f64 / other.ir as f64);
        let none = || "–".to_owned();
        row(&[
            op,
            &cost(ours),
            &oauth2.as_ref().map_or_else(none, cost),
            &cost(floor),
            &ratio(floor),
            &oauth2.as_ref().map_or_else(none, ratio),
        ]);
    }
    println!();
}
