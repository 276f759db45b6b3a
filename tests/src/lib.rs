//! Helpers that several areas share.
