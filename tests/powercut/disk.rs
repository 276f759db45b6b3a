//! A disk as a power cut may find it: what is certainly on it, and what may or may not have come there yet.
//!
//! Every file and every directory has a state that was synced, and a list of changes since. A sync that began after a
//! change had ended, and that ended well, moves the change from the list into the state; nothing else does. In
//! particular the sync of a file says nothing about its name, which belongs to the directory.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsString,
    path::Path,
};

use crate::trace::{Call, Event};

/// Files and directories by number; the first is the directory that is looked at.
pub(crate) struct Disk {
    nodes: Vec<Node>,
    /// What a sync that is under way covers, by its call.
    syncs: HashMap<usize, (usize, HashSet<usize>)>,
    /// What a call that is under way changes.
    changed: HashMap<usize, Vec<usize>>,
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
        if let Some(pending) = self.pending.iter_mut().rfind(|pending| pending.call == call) {
            pending.has_ended = true;
        }
        if !succeeded {
            self.pending.retain(|pending| pending.call != call);
            self.seen = self.synced.clone();
            self.pending
                .iter()
                .for_each(|pending| pending.change.apply(&mut self.seen));
        }
    }

    fn covered(&self) -> HashSet<usize> {
        self.pending
            .iter()
            .filter(|pending| pending.has_ended)
            .map(|pending| pending.call)
            .collect()
    }

    fn sync(&mut self, covered: &HashSet<usize>) {
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
            changed: HashMap::new(),
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
                for node in self.changed.remove(number).unwrap_or_default() {
                    match &mut self.nodes[node] {
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
                Some(file) if *empty => self.change_file(number, file, FileChange::SetLength(0)),
                None if *create => self.add(number, path, Node::File(Store::new())),
                _ => {}
            },
            Call::MakeDirectory { path } => {
                if self.find(path).is_none() {
                    self.add(number, path, Node::Directory(Store::new()));
                }
            }
            Call::Write { path, at, bytes } => {
                let Some(file) = self.find(path) else { return };
                let at = at.unwrap_or_else(|| self.file(file).seen.len());
                let bytes = bytes.clone();
                self.change_file(number, file, FileChange::Write { at, bytes });
            }
            Call::SetLength { path, length } => {
                let Some(file) = self.find(path) else { return };
                self.change_file(number, file, FileChange::SetLength(*length));
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
            Call::Remove { path } => self.change_names(number, path, NameChange::Remove),
            Call::Rename { from, to } => {
                let Some(node) = self.find(from) else { return };
                if from.parent() == to.parent() {
                    let from = from.file_name().unwrap().into();
                    self.change_names(number, to, |to| NameChange::Rename { from, to, node });
                } else {
                    self.change_names(number, from, NameChange::Remove);
                    self.change_names(number, to, |to| NameChange::Add(to, node));
                }
            }
        }
    }

    fn add(&mut self, number: usize, path: &Path, node: Node) {
        let new = self.nodes.len();
        self.nodes.push(node);
        self.change_names(number, path, |name| NameChange::Add(name, new));
    }

    fn change_file(&mut self, number: usize, file: usize, change: FileChange) {
        self.file(file).change(number, change);
        self.changed.entry(number).or_default().push(file);
    }

    /// Changes what the last part of this path means in its directory.
    fn change_names(&mut self, number: usize, path: &Path, change: impl FnOnce(OsString) -> NameChange) {
        let parent = self.find(path.parent().unwrap());
        let parent = parent.unwrap_or_else(|| panic!("{path:?} has no parent"));
        match &mut self.nodes[parent] {
            Node::Directory(directory) => directory.change(number, change(path.file_name().unwrap().into())),
            Node::File(_) => panic!("the parent of {path:?} is a file"),
        }
        self.changed.entry(number).or_default().push(parent);
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
}
