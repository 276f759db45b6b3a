//! The system calls of a program and its children that change files below a directory, read from `strace`.
//!
//! A call has a beginning and an end, and each has its place in the trace: what another process does between the two
//! may have come before it or after it. Calls that change files in a way which is not known here end the reading: a
//! trace with holes proves nothing.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Command,
};

/// What a call does; paths are relative to the directory that is looked at.
#[derive(Debug)]
pub(crate) enum Call {
    /// Opens a file that shall be made if it is not there, or emptied if it is.
    Open {
        path: PathBuf,
        create: bool,
        empty: bool,
    },
    /// Writes bytes at an offset, or behind the last one.
    Write {
        path: PathBuf,
        at: Option<usize>,
        bytes: Vec<u8>,
    },
    SetLength {
        path: PathBuf,
        length: usize,
    },
    /// `fsync`, or, if it is about the `data`, `fdatasync`.
    Sync {
        path: PathBuf,
        data: bool,
    },
    MakeDirectory {
        path: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    /// A line of the program's standard output.
    Say {
        line: String,
    },
}

/// One end of a call; the number is the call's.
#[derive(Debug)]
pub(crate) enum Event {
    Begin(usize, Call),
    End { number: usize, succeeded: bool },
}

/// Every call by which a file can come to have other bytes or another name.
const TRACED: &str = "trace=open,openat,openat2,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,\
    fallocate,copy_file_range,sendfile,splice,lseek,mmap,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,\
    link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat";

/// Runs `program`, whose standard output is collected in the file `said` in `root`, and returns what it and its children
/// did to the files in `root`; `None`, and a line that says so, where tracing is not allowed.
pub(crate) fn record(root: &Path, program: &mut Command) -> Option<Vec<Event>> {
    let allowed = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        println!("skipped: strace is missing or may not trace");
        return None;
    }
    // Outside the directory that is looked at.
    let log = tempfile::NamedTempFile::new().unwrap();
    let traced = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-y",
            "-xx",
            "-s",
            "16777216",
            "--seccomp-bpf",
            "-e",
            "signal=none",
        ])
        .args(["-e", TRACED, "-o"])
        .args([log.path(), Path::new(program.get_program())])
        .args(program.get_args())
        .stdout(fs::File::create(root.join(SAID)).unwrap())
        .output()
        .unwrap();
    assert!(
        traced.status.success(),
        "{}",
        String::from_utf8_lossy(&traced.stderr)
    );
    Some(read(root, BufReader::new(log.reopen().unwrap())))
}

/// The file with the standard output.
const SAID: &str = "said";

fn read(root: &Path, log: impl BufRead) -> Vec<Event> {
    let mut events = Vec::new();
    let mut unfinished = HashMap::new();
    let mut sought: HashSet<PathBuf> = HashSet::new();
    for (number, line) in log.split(b'\n').enumerate() {
        let line = String::from_utf8(line.unwrap()).unwrap();
        let (thread, line) = line.split_once(' ').unwrap();
        let line = line.trim_start();
        if let Some((_, rest)) = line.split_once(" resumed>") {
            if let Some(number) = unfinished.remove(thread) {
                events.push(end(number, rest));
            }
        } else if line.starts_with("lseek(") {
            sought.extend(path_in(root, line.split(", ").next().unwrap()));
        } else if let Some(call) = call(root, line) {
            if let Call::Write { path, at: None, .. } = &call {
                assert!(!sought.contains(path), "where {path:?} is written is not known");
            }
            events.push(Event::Begin(number, call));
            if line.ends_with("<unfinished ...>") {
                unfinished.insert(thread.to_owned(), number);
            } else {
                events.push(end(number, line));
            }
        }
    }
    events
}

/// A call in which its process ended has no result; it is taken for one that did nothing.
fn end(number: usize, line: &str) -> Event {
    let result = line.rsplit_once(" = ").map_or("?", |(_, result)| result);
    Event::End {
        number,
        succeeded: !result.starts_with(['-', '?']),
    }
}

/// The call that begins on this line, if it is about a file in `root` and changes something.
fn call(root: &Path, line: &str) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    let arguments: Vec<&str> = rest.split(", ").collect();
    let path = |index: usize| path_in(root, arguments[index]);
    let number = |index: usize| -> usize {
        let digits = arguments[index].split([')', ' ']).next().unwrap();
        digits.parse().unwrap_or_else(|_| panic!("{digits} in {name}"))
    };
    let flag = |index: usize, flag: &str| arguments[index].contains(flag);
    let call = match name {
        "openat" => {
            let (create, empty) = (flag(2, "O_CREAT"), flag(2, "O_TRUNC"));
            let path = path(1)?;
            if !create && !empty {
                return None;
            }
            Call::Open { path, create, empty }
        }
        "write" if path(0)?.as_os_str() == SAID => Call::Say {
            line: String::from_utf8(bytes(arguments[1]))
                .unwrap()
                .trim_end()
                .to_owned(),
        },
        "write" => Call::Write {
            path: path(0)?,
            at: None,
            bytes: bytes(arguments[1]),
        },
        "pwrite64" => Call::Write {
            path: path(0)?,
            at: Some(number(3)),
            bytes: bytes(arguments[1]),
        },
        "ftruncate" => Call::SetLength {
            path: path(0)?,
            length: number(1),
        },
        "fsync" | "fdatasync" => Call::Sync {
            path: path(0)?,
            data: name == "fdatasync",
        },
        "mkdir" => Call::MakeDirectory { path: path(0)? },
        "unlink" => Call::Remove { path: path(0)? },
        "rename" => Call::Rename {
            from: path(0)?,
            to: path(1)?,
        },
        // Mapping for reading, or what is not written back.
        "mmap" if !flag(2, "PROT_WRITE") || !flag(3, "MAP_SHARED") => return None,
        "mmap" => panic!("{:?} is written through a mapping", path(4)?),
        _ => {
            let about = (0..arguments.len()).find_map(path)?;
            panic!("what {name} does to {about:?} is not known here")
        }
    };
    Some(call)
}

/// The path in `root` that a descriptor or a string names.
fn path_in(root: &Path, argument: &str) -> Option<PathBuf> {
    let path = PathBuf::from(OsStr::from_bytes(&bytes(argument)));
    let inside = path.strip_prefix(root).ok()?.to_owned();
    // The index of the log is shared memory, which no power cut leaves, and what has no name is gone anyway.
    let is_lost = argument.contains("(deleted)") || inside.to_string_lossy().ends_with("-shm");
    (!is_lost).then_some(inside)
}

/// The bytes between quotes, or between the angle brackets behind a descriptor; none in any other argument.
fn bytes(argument: &str) -> Vec<u8> {
    let Some(start) = argument.find("\\x") else {
        return Vec::new();
    };
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    argument.as_bytes()[start..]
        .chunks(4)
        .map_while(|chunk| match chunk {
            [b'\\', b'x', high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_others_interrupt_ends_where_it_is_resumed() {
        let log = "7  fsync(3<\\x2f\\x72\\x2f\\x61> <unfinished ...>\n\
                   8  pwrite64(4<\\x2f\\x72\\x2f\\x62>, \"\\x31\\x0a\", 2, 5) = 2\n\
                   8  fsync(5<\\x2f\\x65>) = 0\n\
                   7  <... fsync resumed>) = -1 EIO (Input/output error)\n";
        let events = format!("{:?}", read(Path::new("/r"), log.as_bytes()));
        assert_eq!(
            events,
            "[Begin(0, Sync { path: \"a\", data: false }), \
             Begin(1, Write { path: \"b\", at: Some(5), bytes: [49, 10] }), End { number: 1, succeeded: true }, \
             End { number: 0, succeeded: false }]"
        );
    }

    #[test]
    #[should_panic(expected = "what linkat does")]
    fn a_call_that_is_not_known_is_not_passed_over() {
        read(
            Path::new("/r"),
            "7  linkat(AT_FDCWD, \"\\x2f\\x72\\x2f\\x61\", AT_FDCWD, \"\", 0) = 0".as_bytes(),
        );
    }
}
