//! Functions of `double precision`, with PostgreSQL's errors where the result is no number.

use std::f64::consts::FRAC_PI_4;

use datafusion::common::Result;
use datafusion::error::DataFusionError;

use crate::functions::fault::fault;

/// PostgreSQL's constant, which has fewer digits than a float could hold.
const RADIANS_PER_DEGREE: f64 = 0.017_453_292_519_943_295;

pub(super) fn overflow() -> DataFusionError {
    fault("22003", "value out of range: overflow")
}

pub(super) fn underflow() -> DataFusionError {
    fault("22003", "value out of range: underflow")
}

fn outside() -> DataFusionError {
    fault("22003", "input is out of range")
}

pub(super) fn sqrt(x: f64) -> Result<f64> {
    if x < 0.0 {
        return Err(fault("2201F", "cannot take square root of a negative number"));
    }
    Ok(x.sqrt())
}

/// The C library's approximation and one step of Halley's method, which PostgreSQL shows through:
/// `cbrt(27)` is not 3.
pub(super) fn cbrt(x: f64) -> Result<f64> {
    if x == 0.0 || !x.is_finite() {
        return Ok(x);
    }
    // x = mantissa · 2^exponent, the mantissa in [0.5, 1); tiny numbers are scaled first.
    let (scaled, shift) =
        if x.abs() < f64::MIN_POSITIVE { (x.abs() * 2_f64.powi(54), 54) } else { (x.abs(), 0) };
    let bits = scaled.to_bits();
    let exponent = i32::try_from(bits >> 52).unwrap_or(0) - 1022 - shift;
    let m = f64::from_bits(bits & ((1 << 52) - 1) | 1022 << 52);
    let mut root = 0.784_932_344_976_639_2 - 0.145_263_899_385_486_37 * m;
    root = root * m - 1.834_692_774_836_130_8;
    root = root * m + 2.446_931_225_635_344_4;
    root = root * m - 2.114_994_941_673_713;
    root = root * m + 1.508_191_937_815_849;
    root = root * m + 0.354_895_765_043_919_84;
    let cube = root * root * root;
    let factor = match exponent % 3 {
        -2 => 0.629_960_524_947_436_5,
        -1 => 0.793_700_525_984_099_7,
        1 => 1.259_921_049_894_873_2,
        2 => 1.587_401_051_968_199_6,
        _ => 1.0,
    };
    let result = root * (cube + (m + m)) / (m + (cube + cube)) * factor * 2_f64.powi(exponent / 3);
    Ok(result.copysign(x))
}

fn check_logarithm(x: f64) -> Result<()> {
    if x == 0.0 {
        return Err(fault("2201E", "cannot take logarithm of zero"));
    }
    if x < 0.0 {
        return Err(fault("2201E", "cannot take logarithm of a negative number"));
    }
    Ok(())
}

pub(super) fn ln(x: f64) -> Result<f64> {
    check_logarithm(x).map(|()| x.ln())
}

pub(super) fn log10(x: f64) -> Result<f64> {
    check_logarithm(x).map(|()| x.log10())
}

pub(super) fn exp(x: f64) -> Result<f64> {
    let result = x.exp();
    if result.is_infinite() && x.is_finite() {
        return Err(overflow());
    }
    if result == 0.0 && x.is_finite() {
        return Err(underflow());
    }
    Ok(result)
}

#[expect(clippy::float_cmp, reason = "exact values are special")]
pub(super) fn power(x: f64, y: f64) -> Result<f64> {
    if x == 0.0 && y < 0.0 {
        return Err(fault("2201F", "zero raised to a negative power is undefined"));
    }
    if x < 0.0 && y.is_finite() && y.floor() != y {
        let message = "a negative number raised to a non-integer power yields a complex result";
        return Err(fault("2201F", message));
    }
    let result = x.powf(y);
    let finite = x.is_finite() && y.is_finite();
    if result.is_infinite() && finite {
        return Err(overflow());
    }
    if result == 0.0 && finite && x != 0.0 {
        return Err(underflow());
    }
    Ok(result)
}

/// Halves go to the even neighbour.
pub(super) fn round(x: f64) -> Result<f64> {
    Ok(x.round_ties_even())
}

pub(super) fn trunc(x: f64) -> Result<f64> {
    Ok(x.trunc())
}

pub(super) fn ceil(x: f64) -> Result<f64> {
    Ok(x.ceil())
}

pub(super) fn floor(x: f64) -> Result<f64> {
    Ok(x.floor())
}

pub(super) fn abs(x: f64) -> Result<f64> {
    Ok(x.abs())
}

pub(super) fn sign(x: f64) -> Result<f64> {
    Ok(if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    })
}

pub(super) fn degrees(x: f64) -> Result<f64> {
    Ok(x / RADIANS_PER_DEGREE)
}

pub(super) fn radians(x: f64) -> Result<f64> {
    Ok(x * RADIANS_PER_DEGREE)
}

fn finite(x: f64, result: f64) -> Result<f64> {
    if x.is_infinite() { Err(outside()) } else { Ok(result) }
}

pub(super) fn sin(x: f64) -> Result<f64> {
    finite(x, x.sin())
}

pub(super) fn cos(x: f64) -> Result<f64> {
    finite(x, x.cos())
}

pub(super) fn tan(x: f64) -> Result<f64> {
    finite(x, x.tan())
}

pub(super) fn cot(x: f64) -> Result<f64> {
    finite(x, 1.0 / x.tan())
}

fn within_one(x: f64) -> Result<()> {
    if x.abs() > 1.0 { Err(outside()) } else { Ok(()) }
}

pub(super) fn asin(x: f64) -> Result<f64> {
    within_one(x).map(|()| x.asin())
}

pub(super) fn acos(x: f64) -> Result<f64> {
    within_one(x).map(|()| x.acos())
}

pub(super) fn atan(x: f64) -> Result<f64> {
    Ok(x.atan())
}

pub(super) fn atan2(y: f64, x: f64) -> Result<f64> {
    Ok(y.atan2(x))
}

pub(super) fn sinh(x: f64) -> Result<f64> {
    Ok(x.sinh())
}

pub(super) fn cosh(x: f64) -> Result<f64> {
    Ok(x.cosh())
}

pub(super) fn tanh(x: f64) -> Result<f64> {
    Ok(x.tanh())
}

pub(super) fn asinh(x: f64) -> Result<f64> {
    Ok(x.asinh())
}

pub(super) fn acosh(x: f64) -> Result<f64> {
    if x < 1.0 { Err(outside()) } else { Ok(x.acosh()) }
}

#[expect(clippy::float_cmp, reason = "exact values are special")]
pub(super) fn atanh(x: f64) -> Result<f64> {
    within_one(x)?;
    Ok(if x.abs() == 1.0 { f64::INFINITY.copysign(x) } else { x.atanh() })
}

// Functions of degrees are exact at multiples of 30 and 45: each is scaled by its own value there.
//
// # Source
// PostgreSQL's `float.c`: `sind_q1`, `cosd_q1` and the functions that call them.

fn sin_to_30(x: f64) -> f64 {
    (x * RADIANS_PER_DEGREE).sin() / (30.0 * RADIANS_PER_DEGREE).sin() / 2.0
}

fn cos_to_60(x: f64) -> f64 {
    let unit = 1.0 - (60.0 * RADIANS_PER_DEGREE).cos();
    1.0 - (1.0 - (x * RADIANS_PER_DEGREE).cos()) / unit / 2.0
}

fn sin_to_90(x: f64) -> f64 {
    if x <= 30.0 { sin_to_30(x) } else { cos_to_60(90.0 - x) }
}

fn cos_to_90(x: f64) -> f64 {
    if x <= 60.0 { cos_to_60(x) } else { sin_to_30(90.0 - x) }
}

pub(super) fn sind(x: f64) -> Result<f64> {
    let (mut x, mut sign) = (finite(x, x)? % 360.0, 1.0);
    if x < 0.0 {
        (x, sign) = (-x, -sign);
    }
    if x > 180.0 {
        (x, sign) = (360.0 - x, -sign);
    }
    if x > 90.0 {
        x = 180.0 - x;
    }
    Ok(sign * sin_to_90(x))
}

/// The angle in the first quadrant and the sign of what depends on the quadrant's side.
fn first_quadrant(x: f64, mut sign: f64, odd: bool) -> Result<(f64, f64)> {
    let mut x = finite(x, x)? % 360.0;
    if x < 0.0 {
        x = -x;
        sign = if odd { -sign } else { sign };
    }
    if x > 180.0 {
        x = 360.0 - x;
        sign = if odd { -sign } else { sign };
    }
    if x > 90.0 {
        (x, sign) = (180.0 - x, -sign);
    }
    Ok((x, sign))
}

pub(super) fn cosd(x: f64) -> Result<f64> {
    let (x, sign) = first_quadrant(x, 1.0, false)?;
    Ok(sign * cos_to_90(x))
}

pub(super) fn tand(x: f64) -> Result<f64> {
    let (x, sign) = first_quadrant(x, 1.0, true)?;
    let unit = sin_to_90(45.0) / cos_to_90(45.0);
    let result = sign * (sin_to_90(x) / cos_to_90(x) / unit);
    Ok(if result == 0.0 { 0.0 } else { result })
}

pub(super) fn cotd(x: f64) -> Result<f64> {
    let (x, sign) = first_quadrant(x, 1.0, true)?;
    let unit = cos_to_90(45.0) / sin_to_90(45.0);
    let result = sign * (cos_to_90(x) / sin_to_90(x) / unit);
    Ok(if result == 0.0 { 0.0 } else { result })
}

fn asin_degrees(x: f64) -> f64 {
    if x <= 0.5 {
        x.asin() / 0.5_f64.asin() * 30.0
    } else {
        90.0 - x.acos() / 0.5_f64.acos() * 60.0
    }
}

fn acos_degrees(x: f64) -> f64 {
    if x <= 0.5 {
        90.0 - x.asin() / 0.5_f64.asin() * 30.0
    } else {
        x.acos() / 0.5_f64.acos() * 60.0
    }
}

pub(super) fn asind(x: f64) -> Result<f64> {
    within_one(x)?;
    Ok(if x >= 0.0 { asin_degrees(x) } else { -asin_degrees(-x) })
}

pub(super) fn acosd(x: f64) -> Result<f64> {
    within_one(x)?;
    Ok(if x >= 0.0 { acos_degrees(x) } else { 90.0 + asin_degrees(-x) })
}

pub(super) fn atand(x: f64) -> Result<f64> {
    Ok(x.atan() / FRAC_PI_4 * 45.0)
}

pub(super) fn atan2d(y: f64, x: f64) -> Result<f64> {
    Ok(y.atan2(x) / FRAC_PI_4 * 45.0)
}

/// The bucket of `x` among `count` equal ones between the bounds.
pub(super) fn width_bucket(x: f64, low: f64, high: f64, count: f64) -> Result<f64> {
    if count <= 0.0 {
        return Err(fault("2201G", "count must be greater than zero"));
    }
    if x.is_nan() || low.is_nan() || high.is_nan() {
        return Err(fault("2201G", "operand, lower bound, and upper bound cannot be NaN"));
    }
    if low.is_infinite() || high.is_infinite() {
        return Err(fault("2201G", "lower and upper bounds must be finite"));
    }
    if low < high {
        return Ok(if x < low {
            0.0
        } else if x >= high {
            count + 1.0
        } else {
            ((x - low) / (high - low) * count).min(count - 1.0).floor() + 1.0
        });
    }
    if low > high {
        return Ok(if x > low {
            0.0
        } else if x <= high {
            count + 1.0
        } else {
            ((low - x) / (low - high) * count).min(count - 1.0).floor() + 1.0
        });
    }
    Err(fault("2201G", "lower bound cannot equal upper bound"))
}
