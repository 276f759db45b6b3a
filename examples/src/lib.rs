//! What several programs share: the picture of who held what when, and times as people read them.

pub mod time;
pub mod timeline;
