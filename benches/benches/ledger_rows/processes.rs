//! Rows that take several processes: the bench starts itself again, once for each.
//!
//! A process opens its side and says `ready`; then it answers each line, a number of milliseconds, with a line: what
//! each commit took, in microseconds. It ends with its input.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::contestant::Kind;

const PART: &str = "--part";

/// Whether this process was started by a row.
pub(crate) fn is_one_of_them() -> bool {
    env::args().nth(1).is_some_and(|argument| argument == PART)
}

/// What such a process does.
pub(crate) fn take_part() {
    let arguments: Vec<String> = env::args().skip(2).collect();
    let [kind, folder, number] = arguments.as_slice() else {
        panic!("{PART} KIND FOLDER NUMBER");
    };
    let kind = Kind::parse(kind).expect("a kind");
    let number = number.parse().expect("a number");
    let mut contestant = kind.enter(&PathBuf::from(folder), number);
    println!("ready");
    for line in stdin().lines() {
        let millis = line.expect("a line").parse().expect("milliseconds");
        let latencies = contestant.run(Duration::from_millis(millis));
        let words: Vec<String> = latencies.iter().map(u32::to_string).collect();
        println!("{}", words.join(" "));
        stdout().flush().expect("somebody who reads");
    }
}

/// The processes of one side.
#[derive(Debug)]
pub(crate) struct Processes(Vec<One>);

#[derive(Debug)]
struct One {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Processes {
    /// Starts them, and waits until all are ready.
    pub(crate) fn start(kind: Kind, folder: &Path, count: usize) -> Self {
        let program = env::current_exe().expect("this program");
        let mut all = Vec::new();
        for number in 0..count {
            let mut child = Command::new(&program)
                .args([PART, kind.name()])
                .arg(folder)
                .arg(number.to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("a process");
            let commands = child.stdin.take();
            let answers = BufReader::new(child.stdout.take().expect("it is piped"));
            all.push(One {
                child,
                commands,
                answers,
            });
        }
        for one in &mut all {
            assert_eq!(one.answer().trim(), "ready");
        }
        Self(all)
    }

    /// Lets all of them commit at once for so long; what each of them says.
    pub(crate) fn run(&mut self, duration: Duration) -> Vec<Vec<u32>> {
        for one in &mut self.0 {
            let commands = one.commands.as_mut().expect("it still runs");
            writeln!(commands, "{}", duration.as_millis()).expect("it still runs");
        }
        self.0
            .iter_mut()
            .map(|one| {
                one.answer()
                    .split_whitespace()
                    .map(|word| word.parse().expect("a latency"))
                    .collect()
            })
            .collect()
    }
}

impl One {
    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        line
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.child.wait();
    }
}
