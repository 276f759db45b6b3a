//! Promises of the `ledger` area, through the public API.

#[cfg(test)]
mod backup;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod directory;
#[cfg(test)]
mod disturbed;
#[cfg(test)]
mod failed_moves;
#[cfg(test)]
mod failed_syncs;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod living;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod moved;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod read_only;
#[cfg(test)]
mod refused_writes;
#[cfg(test)]
mod sealing;
#[cfg(test)]
mod sealing_faults;
#[cfg(test)]
mod sqlite;
#[cfg(test)]
mod tamper;
#[cfg(test)]
mod volumes;
