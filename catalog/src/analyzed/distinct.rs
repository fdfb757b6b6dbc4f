//! How many different values there are: HyperLogLog over 2^14 registers.
//!
//! # Source
//! Heule, Nunkesser, Hall: "HyperLogLog in Practice"; the estimate for small counts is linear
//! counting. The standard error is 0.8 %.

const REGISTER_BITS: u32 = 14;
const N_REGISTERS: usize = 1 << REGISTER_BITS;

/// Counts different hashes.
#[derive(Debug, Clone)]
pub(super) struct Distinct {
    registers: Vec<u8>,
}

impl Default for Distinct {
    fn default() -> Self {
        Self { registers: vec![0; N_REGISTERS] }
    }
}

impl Distinct {
    pub(super) fn add(&mut self, hash: u64) {
        let at = usize::try_from(hash >> (64 - REGISTER_BITS)).unwrap_or_default();
        let rest = hash << REGISTER_BITS;
        let rank = rest.leading_zeros().min(64 - REGISTER_BITS) + 1;
        let rank = u8::try_from(rank).unwrap_or(u8::MAX);
        if let Some(register) = self.registers.get_mut(at) {
            *register = (*register).max(rank);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (own, other) in self.registers.iter_mut().zip(&other.registers) {
            *own = (*own).max(*other);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn estimate(&self) -> f64 {
        let m = N_REGISTERS as f64;
        let n_zero = self.registers.iter().filter(|register| **register == 0).count();
        let sum: f64 =
            self.registers.iter().map(|register| 0.5_f64.powi(i32::from(*register))).sum();
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        if raw <= 2.5 * m && n_zero > 0 { m * (m / n_zero as f64).ln() } else { raw }
    }
}
