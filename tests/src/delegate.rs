//! Ledgers around another one, which say only what they do otherwise.

/// The methods of `Ledger` that only ask the ledger in a field: `delegate!(ledger: head, read)`.
#[macro_export]
macro_rules! delegate {
    ($ledger:ident: $($method:ident),+) => {
        $($crate::delegate!(@$method $ledger);)+
    };
    (@head $ledger:ident) => {
        fn head(&self) -> Result<::lease::ledger::Head, ::lease::ledger::LedgerError> {
            self.$ledger.head()
        }
    };
    (@read $ledger:ident) => {
        fn read(
            &self,
            after: u64,
            limit: usize,
        ) -> Result<Vec<::lease::EventRecord>, ::lease::ledger::LedgerError> {
            self.$ledger.read(after, limit)
        }
    };
    (@enter $ledger:ident) => {
        fn enter(&self) -> Result<Box<dyn ::lease::ledger::Section + '_>, ::lease::ledger::LedgerError> {
            self.$ledger.enter()
        }
    };
    (@sync $ledger:ident) => {
        fn sync(&self) -> Result<(), ::lease::ledger::LedgerError> {
            self.$ledger.sync()
        }
    };
    (@epoch $ledger:ident) => {
        fn epoch(&self) -> Result<u32, ::lease::ledger::LedgerError> {
            self.$ledger.epoch()
        }
    };
    (@verify $ledger:ident) => {
        fn verify(
            &self,
            verifier: &mut dyn ::lease::ledger::RecordVerifier,
        ) -> Result<::lease::ledger::Head, ::lease::ledger::LedgerError> {
            self.$ledger.verify(verifier)
        }
    };
}
