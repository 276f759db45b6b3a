//! Errors about which somebody can do something say what.

use std::error::Error;
use std::path::PathBuf;

use lease::ledger::LedgerError;
use lease::{CheckpointError, ClaimError, RegistrarError, Signer};

#[test]
fn an_error_says_the_way_out_where_there_is_one() {
    let path = || PathBuf::from("jobs.lease");
    let says: [(Box<dyn Error>, &[&str]); 12] = [
        (
            Box::new(LedgerError::NewerFormat {
                found: 9,
                supported: 8,
            }),
            &["format 9", "knows 8", "newer version", "update it"],
        ),
        (
            Box::new(RegistrarError::NewerRules {
                found: 9,
                supported: 8,
            }),
            &["version 9", "knows 8", "newer version", "update it"],
        ),
        (
            Box::new(CheckpointError::NewerFormat {
                found: 9,
                supported: 8,
            }),
            &["format 9", "knows 8", "newer version", "update it"],
        ),
        (
            Box::new(LedgerError::LedgerDisturbed { path: path() }),
            &["jobs.lease", "close it everywhere", "open it anew"],
        ),
        (
            Box::new(LedgerError::LedgerMoved { path: path() }),
            &["jobs.lease", "adopt it if the original is gone"],
        ),
        (
            Box::new(LedgerError::Exposed {
                path: path(),
                mode: 0o755,
            }),
            &["jobs.lease", "755, not 700"],
        ),
        (
            Box::new(LedgerError::UnsupportedFileSystem {
                path: path(),
                magic: 0x6969,
            }),
            &["jobs.lease", "0x6969", "use ext4"],
        ),
        (
            Box::new(RegistrarError::SignerMissing { path: path() }),
            &[
                "jobs.lease",
                "restore it",
                "bring a signer that the ledger trusts",
            ],
        ),
        (
            Box::new(RegistrarError::KeyExposed {
                path: path(),
                mode: 0o644,
            }),
            &["jobs.lease", "644", "set it to 600"],
        ),
        (
            Box::new(RegistrarError::SignerUntrusted {
                public_key: Signer::generate().public_key(),
            }),
            &["trust_key"],
        ),
        (Box::new(RegistrarError::SignerNeeded), &["bring a signer"]),
        (Box::new(ClaimError::NoRegistrar), &["Registrar::install_global"]),
    ];
    for (error, words) in says {
        let said = error.to_string();
        for word in words {
            assert!(said.contains(word), "`{said}` does not say `{word}`");
        }
    }
}
