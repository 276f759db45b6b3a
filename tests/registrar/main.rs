//! Promises of the `registrar` area, through the public API.

#[cfg(test)]
mod checkpoints;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod death;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod forked;
#[cfg(test)]
mod frozen;
#[cfg(test)]
mod heads;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod sealing;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod time;
#[cfg(test)]
mod viewer;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod ways_out;
