//! Which mathematical functions there are, and their forms.

use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;

use datafusion::common::Result;

use super::number::{DIGITS_LEAST, Number};
use super::{exact, float, transcendental};

/// A function of `numeric`.
#[derive(Debug)]
pub(super) struct NumericForm {
    pub(super) eval: fn(&[Number]) -> Result<Number>,
    /// The scale for columns, by the arguments' scales and the second argument if constant.
    pub(super) column_scale: fn(&[i32], Option<i32>) -> i32,
}

/// A function and its forms.
/// A form of a function for values of one type.
type Form<T> = fn(&[T]) -> Result<T>;

#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) n_args: RangeInclusive<usize>,
    pub(super) n_args_float: RangeInclusive<usize>,
    pub(super) float: Option<Form<f64>>,
    pub(super) numeric: Option<NumericForm>,
    pub(super) integer: Option<Form<i64>>,
    /// `real` stays `real`.
    pub(super) keeps_real: bool,
    /// The results of the forms for fractions are `integer`.
    pub(super) counts: bool,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// A function with nothing but a name; forms are added.
const fn named(name: &'static str, n_args: usize) -> Function {
    Function {
        name,
        aliases: &[],
        n_args: n_args..=n_args,
        n_args_float: n_args..=n_args,
        float: None,
        numeric: None,
        integer: None,
        keeps_real: false,
        counts: false,
    }
}

const fn numeric(
    eval: fn(&[Number]) -> Result<Number>,
    column_scale: fn(&[i32], Option<i32>) -> i32,
) -> Option<NumericForm> {
    Some(NumericForm { eval, column_scale })
}

fn whole(_: &[i32], _: Option<i32>) -> i32 {
    0
}

fn same(scales: &[i32], _: Option<i32>) -> i32 {
    scales.iter().copied().max().unwrap_or(0)
}

/// `round(x, n)` has n digits; where n varies, those of x.
fn chosen(scales: &[i32], second: Option<i32>) -> i32 {
    match (scales, second) {
        ([_], _) => 0,
        (_, Some(n)) => n.max(0),
        _ => same(scales, None),
    }
}

fn sixteen(scales: &[i32], _: Option<i32>) -> i32 {
    same(scales, None).max(DIGITS_LEAST)
}

macro_rules! unary {
    ($f:path) => {
        |args| match args {
            [x] => $f(*x),
            _ => Err(exact::wrong_count()),
        }
    };
}

macro_rules! binary {
    ($f:path) => {
        |args| match args {
            [x, y] => $f(*x, *y),
            _ => Err(exact::wrong_count()),
        }
    };
}

macro_rules! four {
    ($f:path) => {
        |args| match args {
            [a, b, c, d] => $f(*a, *b, *c, *d),
            _ => Err(exact::wrong_count()),
        }
    };
}

macro_rules! floats {
    ($($name:literal => $f:path),+ $(,)?) => {
        [$(Function { float: Some(unary!($f)), ..named($name, 1) }),+]
    };
}

static FLOATS: [Function; 23] = floats![
    "cbrt" => float::cbrt, "degrees" => float::degrees, "radians" => float::radians,
    "sin" => float::sin, "cos" => float::cos, "tan" => float::tan, "cot" => float::cot,
    "asin" => float::asin, "acos" => float::acos, "atan" => float::atan,
    "sinh" => float::sinh, "cosh" => float::cosh, "tanh" => float::tanh,
    "asinh" => float::asinh, "acosh" => float::acosh, "atanh" => float::atanh,
    "sind" => float::sind, "cosd" => float::cosd, "tand" => float::tand, "cotd" => float::cotd,
    "asind" => float::asind, "acosd" => float::acosd, "atand" => float::atand,
];

static OTHERS: [Function; 23] = [
    Function { float: Some(binary!(float::atan2)), ..named("atan2", 2) },
    Function { float: Some(binary!(float::atan2d)), ..named("atan2d", 2) },
    Function {
        float: Some(unary!(float::abs)),
        numeric: numeric(unary!(exact::abs), same),
        integer: Some(unary!(exact::abs_integer)),
        keeps_real: true,
        ..named("abs", 1)
    },
    Function {
        float: Some(unary!(float::ceil)),
        numeric: numeric(unary!(exact::ceil), whole),
        aliases: &["ceiling"],
        ..named("ceil", 1)
    },
    Function {
        float: Some(unary!(float::floor)),
        numeric: numeric(unary!(exact::floor), whole),
        ..named("floor", 1)
    },
    Function {
        float: Some(unary!(float::round)),
        numeric: numeric(exact::round, chosen),
        n_args: 1..=2,
        ..named("round", 1)
    },
    Function {
        float: Some(unary!(float::trunc)),
        numeric: numeric(exact::trunc, chosen),
        n_args: 1..=2,
        ..named("trunc", 1)
    },
    Function {
        float: Some(unary!(float::sign)),
        numeric: numeric(unary!(exact::sign), whole),
        aliases: &["signum"],
        ..named("sign", 1)
    },
    Function {
        float: Some(unary!(float::sqrt)),
        numeric: numeric(unary!(transcendental::sqrt), sixteen),
        ..named("sqrt", 1)
    },
    Function {
        float: Some(unary!(float::exp)),
        numeric: numeric(unary!(transcendental::exp), sixteen),
        ..named("exp", 1)
    },
    Function {
        float: Some(unary!(float::ln)),
        numeric: numeric(unary!(transcendental::ln), sixteen),
        ..named("ln", 1)
    },
    Function {
        float: Some(unary!(float::log10)),
        numeric: numeric(exact::log, sixteen),
        n_args: 1..=2,
        aliases: &["log10"],
        ..named("log", 1)
    },
    Function {
        float: Some(binary!(float::power)),
        numeric: numeric(binary!(transcendental::power), sixteen),
        aliases: &["pow"],
        ..named("power", 2)
    },
    Function {
        numeric: numeric(binary!(exact::remainder), same),
        integer: Some(binary!(exact::remainder_integer)),
        ..named("mod", 2)
    },
    Function { numeric: numeric(binary!(exact::div), whole), ..named("div", 2) },
    Function {
        numeric: numeric(binary!(exact::gcd), same),
        integer: Some(binary!(exact::gcd_integer)),
        ..named("gcd", 2)
    },
    Function {
        numeric: numeric(binary!(exact::lcm), same),
        integer: Some(binary!(exact::lcm_integer)),
        ..named("lcm", 2)
    },
    Function { integer: Some(unary!(exact::not_integer)), ..named("bit_not", 1) },
    Function { numeric: numeric(unary!(exact::factorial), whole), ..named("factorial", 1) },
    Function { numeric: numeric(unary!(exact::scale), whole), counts: true, ..named("scale", 1) },
    Function {
        numeric: numeric(unary!(exact::min_scale), whole),
        counts: true,
        ..named("min_scale", 1)
    },
    Function { numeric: numeric(unary!(exact::trim_scale), same), ..named("trim_scale", 1) },
    Function {
        float: Some(four!(float::width_bucket)),
        numeric: numeric(four!(exact::width_bucket), whole),
        counts: true,
        ..named("width_bucket", 4)
    },
];

/// All of them.
pub(super) fn functions() -> impl Iterator<Item = &'static Function> {
    FLOATS.iter().chain(&OTHERS)
}

/// The function of this name.
pub(super) fn function(name: &str) -> Option<&'static Function> {
    functions().find(|function| function.name == name)
}
