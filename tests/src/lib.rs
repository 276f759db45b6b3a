//! Helpers that several areas share.

pub mod bookkeeper;
pub mod delegate;
pub mod failing;
pub mod faulty;
pub mod generous;
pub mod mortal;
pub mod patience;
pub mod tamper;
