//! A disk as a power cut may find it: what is certainly on it, and what may or may not have come there yet.
//!
//! Every file and every directory has a state that was synced, and a list of changes since. A sync that began after a
//! change had ended, and that ended well, moves the change from the list into the state; nothing else does. In
//! particular the sync of a file says nothing about its name, which belongs to the directory.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    path::Path,
};

use crate::trace::{Call, Event};

/// Files and directories by number; the first is the directory that is looked at.
pub(crate) struct Disk {
    nodes: Vec<Node>,
    /// What a sync that is under way covers, by its call.
    syncs: HashMap<usize, (usize, Vec<usize>)>,
    is_lie: fn(&Call) -> bool,
}

pub(crate) enum Node {
    File(Store<Vec<u8>, FileChange>),
    Directory(Store<Names, NameChange>),
}

pub(crate) type Names = BTreeMap<OsString, usize>;

/// What is synced, what was done since, and what programs see, which is both.
pub(crate) struct Store<State, Change> {
    pub(crate) synced: State,
    pub(crate) pending: Vec<Pending<Change>>,
    seen: State,
}

pub(crate) struct Pending<Change> {
    pub(crate) change: Change,
    call: usize,
    has_ended: bool,
}

pub(crate) enum FileChange {
    Write { at: usize, bytes: Vec<u8> },
    SetLength(usize),
}

pub(crate) enum NameChange {
    Add(OsString, usize),
    Remove(OsString),
    Rename {
        from: OsString,
        to: OsString,
        node: usize,
    },
}

/// A change that can be made to a state.
pub(crate) trait Change<State> {
    fn apply(&self, state: &mut State);
}

impl Change<Vec<u8>> for FileChange {
    fn apply(&self, state: &mut Vec<u8>) {
        match self {
            Self::SetLength(length) => state.resize(*length, 0),
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                state.resize(state.len().max(end), 0);
                state[*at..end].copy_from_slice(bytes);
            }
        }
    }
}

impl Change<Names> for NameChange {
    fn apply(&self, state: &mut Names) {
        match self {
            Self::Add(name, node) => drop(state.insert(name.clone(), *node)),
            Self::Remove(name) => drop(state.remove(name)),
            Self::Rename { from, to, node } => {
                state.remove(from);
                state.insert(to.clone(), *node);
            }
        }
    }
}

impl<State: Clone + Default, C: Change<State>> Store<State, C> {
    fn new() -> Self {
        Self {
            synced: State::default(),
            pending: Vec::new(),
            seen: State::default(),
        }
    }

    fn change(&mut self, call: usize, change: C) {
        change.apply(&mut self.seen);
        self.pending.push(Pending {
            change,
            call,
            has_ended: false,
        });
    }

    fn end(&mut self, call: usize, succeeded: bool) {
        for pending in &mut self.pending {
            pending.has_ended |= pending.call == call;
        }
        if !succeeded && self.pending.iter().any(|pending| pending.call == call) {
            self.pending.retain(|pending| pending.call != call);
            self.seen = self.synced.clone();
            self.pending
                .iter()
                .for_each(|pending| pending.change.apply(&mut self.seen));
        }
    }

    fn covered(&self) -> Vec<usize> {
        self.pending
            .iter()
            .filter(|pending| pending.has_ended)
            .map(|pending| pending.call)
            .collect()
    }

    fn sync(&mut self, covered: &[usize]) {
        for pending in self
            .pending
            .extract_if(.., |pending| covered.contains(&pending.call))
        {
            pending.change.apply(&mut self.synced);
        }
    }
}

impl Disk {
    /// A disk with an empty directory, which does not do what `is_lie` says that it only claims.
    pub(crate) fn new(is_lie: fn(&Call) -> bool) -> Self {
        Self {
            nodes: vec![Node::Directory(Store::new())],
            syncs: HashMap::new(),
            is_lie,
        }
    }

    pub(crate) fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// Goes on by one event of a trace.
    pub(crate) fn follow(&mut self, event: &Event) {
        match event {
            Event::Begin(number, call) => self.begin(*number, call),
            Event::End { number, succeeded } => {
                for node in &mut self.nodes {
                    match node {
                        Node::File(file) => file.end(*number, *succeeded),
                        Node::Directory(directory) => directory.end(*number, *succeeded),
                    }
                }
                if let Some((node, covered)) = self.syncs.remove(number)
                    && *succeeded
                {
                    match &mut self.nodes[node] {
                        Node::File(file) => file.sync(&covered),
                        Node::Directory(directory) => directory.sync(&covered),
                    }
                }
            }
        }
    }

    fn begin(&mut self, number: usize, call: &Call) {
        match call {
            Call::Say { .. } => {}
            Call::Open { path, create, empty } => match self.find(path) {
                Some(node) if *empty => self.file(node).change(number, FileChange::SetLength(0)),
                None if *create => self.add(number, path, Node::File(Store::new())),
                _ => {}
            },
            Call::MakeDirectory { path } => {
                if self.find(path).is_none() {
                    self.add(number, path, Node::Directory(Store::new()));
                }
            }
            Call::Write { path, at, bytes } => {
                let Some(node) = self.find(path) else { return };
                let file = self.file(node);
                let at = at.unwrap_or(file.seen.len());
                file.change(
                    number,
                    FileChange::Write {
                        at,
                        bytes: bytes.clone(),
                    },
                );
            }
            Call::SetLength { path, length } => {
                let Some(node) = self.find(path) else { return };
                self.file(node).change(number, FileChange::SetLength(*length));
            }
            Call::Sync { path, .. } => {
                if (self.is_lie)(call) {
                    return;
                }
                let Some(node) = self.find(path) else { return };
                let covered = match &self.nodes[node] {
                    Node::File(file) => file.covered(),
                    Node::Directory(directory) => directory.covered(),
                };
                self.syncs.insert(number, (node, covered));
            }
            Call::Remove { path } => {
                let (directory, name) = self.parent(path);
                directory.change(number, NameChange::Remove(name));
            }
            Call::Rename { from, to } => {
                let Some(node) = self.find(from) else { return };
                let (from_name, to_name) = (from.file_name().unwrap().into(), to.file_name().unwrap().into());
                if from.parent() == to.parent() {
                    let change = NameChange::Rename {
                        from: from_name,
                        to: to_name,
                        node,
                    };
                    self.parent(from).0.change(number, change);
                } else {
                    self.parent(from).0.change(number, NameChange::Remove(from_name));
                    self.parent(to).0.change(number, NameChange::Add(to_name, node));
                }
            }
        }
    }

    fn add(&mut self, number: usize, path: &Path, node: Node) {
        let new = self.nodes.len();
        self.nodes.push(node);
        let (directory, name) = self.parent(path);
        directory.change(number, NameChange::Add(name, new));
    }

    /// What programs find under this path.
    fn find(&self, path: &Path) -> Option<usize> {
        path.iter().try_fold(0, |node, name| match &self.nodes[node] {
            Node::Directory(directory) => directory.seen.get(name).copied(),
            Node::File(_) => None,
        })
    }

    fn file(&mut self, node: usize) -> &mut Store<Vec<u8>, FileChange> {
        match &mut self.nodes[node] {
            Node::File(file) => file,
            Node::Directory(_) => panic!("a directory is written like a file"),
        }
    }

    fn parent(&mut self, path: &Path) -> (&mut Store<Names, NameChange>, OsString) {
        let node = self
            .find(path.parent().unwrap())
            .unwrap_or_else(|| panic!("{path:?} has no parent"));
        match &mut self.nodes[node] {
            Node::Directory(directory) => (directory, path.file_name().unwrap().into()),
            Node::File(_) => panic!("the parent of {path:?} is a file"),
        }
    }
}
